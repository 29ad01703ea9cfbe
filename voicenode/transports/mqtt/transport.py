"""The node on a broker: its parts, and its life from `start` to `stop`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from voicenode.transports.mqtt import views
from voicenode.transports.mqtt.answers import Answers, JobAnswers
from voicenode.transports.mqtt.client import Client
from voicenode.transports.mqtt.delivery import TopicDelivery
from voicenode.transports.mqtt.messages import to_json
from voicenode.transports.mqtt.packets import Publication, Session
from voicenode.transports.mqtt.requests import Requests
from voicenode.transports.mqtt.retained import Retained
from voicenode.transports.mqtt.topics import Topics

if TYPE_CHECKING:
    from voicenode.jobs import Job, JobQueue
    from voicenode.transports.mqtt.node import Node
    from voicenode.transports.mqtt.packets import Broker


class MqttTransport:
    """Takes requests from a broker, answers them there, and keeps there what is to be known of the node.

    Create it before `queue.start()`: it is the queue's sink for audio on topics. `client` is for whoever has
    more to subscribe to or to publish, before `start`; `retained` for what the broker shall keep besides;
    `job_answers.others` for whoever submits jobs himself.

    Args:
        broker: where to.
        node: what it speaks for.
        queue: keeps the requests until they are answered.
        base_topic: what all topics begin with.
        session_expiry: seconds for which the broker keeps requests while the node is away.
        retry: the first and the longest time in seconds between two attempts to connect.

    Raises:
        SetupError: nothing can be published under that base.
    """

    def __init__(
        self,
        broker: Broker,
        node: Node,
        queue: JobQueue,
        *,
        base_topic: str = "voicenode",
        session_expiry: float = 86_400.0,
        retry: tuple[float, float] = (1.0, 60.0),
    ) -> None:
        self.topics = Topics(base_topic, node.id)
        self._online = Publication(topic=self.topics.state, payload=to_json({"state": "online"}), retain=True)
        self._offline = Publication(
            topic=self.topics.state, payload=to_json({"state": "offline"}), retain=True
        )
        session = Session(client_id=f"voicenode-{node.id}", expiry=session_expiry, will=self._offline)
        self.client = Client(broker, session, retry=retry)
        self._queue = queue
        self._views = views.Views(self.topics, node.url_of)
        answers = Answers(self.client, self.topics, node.id)
        self.job_answers = JobAnswers(self.client, answers, queue, self._views)
        self.retained = Retained(
            self.client,
            {
                self.topics.info: node.info,
                self.topics.voices: lambda: [views.voice(each) for each in node.voices() if each.advertised],
                self.topics.status: node.status,
                self.topics.settings: node.settings,
            },
            repeated=self.topics.status,
        )
        self._tasks: list[asyncio.Task[None]] = []
        Requests(answers, queue, node, self._views, changed=self.retained.look).subscribe(self.client)
        self.client.on_connected(self._greet)
        queue.sinks["topic"] = TopicDelivery(self.client, self.topics, answers)

    @property
    def connected(self) -> bool:
        return self.client.connected.is_set()

    async def start(self) -> None:
        """Begin to connect; the broker need not be there."""
        self.client.start()
        self._tasks = [
            asyncio.create_task(self.job_answers.run(), name="mqtt answers to jobs"),
            asyncio.create_task(self.retained.run(), name="mqtt retained topics"),
            asyncio.create_task(self._tell_events(), name="mqtt events"),
        ]

    def drain(self) -> None:
        """Take no further requests; answers and audio still go out."""
        self.client.drain()

    async def stop(self, grace: float) -> None:
        """Say `offline` and leave, once the broker has all that was said, or after `grace` seconds."""
        await self.client.stop(grace, self._offline)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _greet(self) -> None:
        await self.retained.publish_all()
        # Last, for until then the broker still tells of the node's earlier life.
        self.client.publish(self._online)

    async def _tell_events(self) -> None:
        with self._queue.changes() as changes:
            async for job in changes:
                self._tell(job)

    def _tell(self, job: Job) -> None:
        event = to_json(self._views.event(job))
        self.client.publish(Publication(topic=self.topics.event, payload=event, qos=0))
