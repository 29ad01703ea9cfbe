"""Requests that are kept until they are spoken, whatever happens to the node meanwhile."""

from voicenode.jobs.job import Job, JobAudio, JobError, JobState
from voicenode.jobs.limits import JobLimits
from voicenode.jobs.player import Player
from voicenode.jobs.queue import JobQueue
from voicenode.jobs.request import Delivery, JobRequest
from voicenode.jobs.streaming import Sink, Write

__all__ = [
    "Delivery",
    "Job",
    "JobAudio",
    "JobError",
    "JobLimits",
    "JobQueue",
    "JobRequest",
    "JobState",
    "Player",
    "Sink",
    "Write",
]
