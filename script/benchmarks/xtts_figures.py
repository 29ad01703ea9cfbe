"""What the sides of the XTTS benchmark took, as rows, rounds and bars: each of ours next to upstream."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median, quantiles
from typing import TYPE_CHECKING

from script.benchmarks.report import Bar, Row
from script.benchmarks.xtts_fidelity_report import GREEDY_TOKENS
from script.benchmarks.xtts_report import TEXT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from script.benchmarks.xtts_fidelity_report import Fidelity
    from script.benchmarks.xtts_report import Report
    from script.benchmarks.xtts_wake import Wake

OURS = ("fast", "exact")


@dataclass(frozen=True, slots=True)
class Round:
    """One turn of each side that had one."""

    reports: Mapping[str, Report]
    wake: Wake
    """Of the fast side."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Everything that was measured."""

    taken: Sequence[Round]
    weights: int
    """Bytes of the published file."""
    fidelity: Fidelity
    batches: Mapping[int, float]
    """How many texts at once -> milliseconds of a step of the fast side."""

    def rows(self) -> list[Row]:
        """The table."""
        return [
            *self._loading(),
            *self._firsts(),
            *self._speed(),
            *self._quietest(),
            *self._parts(),
            *self._batches(),
            *self._wakes(),
            *self._fidelity(),
        ]

    def rounds(self) -> list[dict[str, float | str]]:
        """One line for each turn of each side."""
        return [
            {
                "round": number,
                "side": side,
                "memory, GB/s": report.bandwidth / 1e9,
                "real-time factor": report.real_time_factor,
                "first audio, s": report.first,
                "a token, ms": report.step * 1e3,
                "by its limit": report.step / report.limit,
                "processors, s": report.processor,
            }
            for number, one in enumerate(self.taken, start=1)
            for side, report in one.reports.items()
        ]

    def bars(self) -> list[Bar]:
        """A step of each side, and how much of it memory takes."""
        return [
            Bar(
                f"{side}: step of one token",
                self._median(side, lambda report: report.step * 1e3),
                self._median(side, lambda report: report.limit * 1e3),
                "ms",
            )
            for side in ("upstream", "exact", "fast")
        ]

    def _loading(self) -> list[Row]:
        return [
            *self._both("loading, once converted", lambda report: report.load, "s", exact="ratio <= 0.05"),
            *self._both(
                "memory at its peak while loading",
                lambda report: report.load_memory / self.weights,
                "of the weights",
                exact="ours <= 1.2",
            ),
            *self._both(
                "memory above the libraries, until all has been spoken",
                lambda report: report.speech_memory / 1e9,
                "GB",
                fast="ours <= 0.7",
            ),
            *self._both("the libraries", lambda report: report.libraries / 1e9, "GB"),
        ]

    def _firsts(self) -> list[Row]:
        rows = []
        for side, goal in {"fast": "ratio <= 0.125", "exact": ""}.items():
            ours, peer = self._all_firsts(side), self._all_firsts("upstream")
            told = f"{side}: first audio of {len(TEXT)} characters"
            rows += [
                Row(name=f"{told}, p50", ours=median(ours), peer=median(peer), unit="s", goal=goal),
                Row(name=f"{told}, p95", ours=_p95(ours), peer=_p95(peer), unit="s"),
            ]
        return rows

    def _speed(self) -> list[Row]:
        return [
            *self._both(
                f"real-time factor of {len(TEXT)} characters",
                lambda report: report.real_time_factor,
                "times",
                fast="ratio <= 0.25",
                exact="ratio <= 0.667",
            ),
            *self._both("the same, in time of processors", lambda report: report.processor_factor, "times"),
            *self._both(
                "cost of sound, late by early", lambda report: report.growth, "times", exact="ours <= 1.3"
            ),
            *self._both(
                "a player waits, once it has begun", lambda report: report.waited, "s", fast="ours <= 0"
            ),
        ]

    def _quietest(self) -> list[Row]:
        """What a machine with nothing else to do would show: the best of all rounds, with its memory."""
        reports = self._of("fast")
        best = min(reports, key=lambda report: report.real_time_factor)
        soonest = min(reports, key=lambda report: report.first)
        bandwidths = [report.bandwidth / 1e9 for report in reports]

        def row(name: str, ours: float, unit: str, goal: str = "") -> Row:
            return Row(name=name, ours=ours, unit=unit, goal=goal)

        return [
            row(
                "fast: real-time factor in the quietest round", best.real_time_factor, "times", "ours <= 0.8"
            ),
            row("what memory gave in the round of this factor", best.bandwidth / 1e9, "GB/s"),
            row("fast: first audio, p50 of the quietest round", soonest.first, "s", "ours <= 0.7"),
            row("what memory gave in the round of this first audio", soonest.bandwidth / 1e9, "GB/s"),
            row("what memory gave, median of the rounds", median(bandwidths), "GB/s"),
        ]

    def _parts(self) -> list[Row]:
        return [
            *self._both(f"prompt of {len(TEXT)} characters", lambda report: report.prompt * 1e3, "ms"),
            *self._both("step of one token", lambda report: report.step * 1e3, "ms"),
            *self._both(
                "step, by the time in which memory gives its weights and cache",
                lambda report: report.step / report.limit,
                "times",
                fast="ours <= 2",
            ),
            *self._both("vocoder, of a second of sound", lambda report: report.vocoder_cost * 1e3, "ms"),
        ]

    def _batches(self) -> list[Row]:
        """What listeners cost who are served by one step, each by what one alone costs."""
        alone = self.batches[1]
        return [
            Row(name=f"fast: a step of {count} texts, by that of one", ours=took / alone, unit="times")
            for count, took in self.batches.items()
            if count > 1
        ]

    def _wakes(self) -> list[Row]:
        peer, wakes = self._median("upstream", lambda report: report.wake), [one.wake for one in self.taken]
        return [
            Row(
                name="fast: from no process, imports prewarmed, to first audio",
                ours=median(wake.prewarmed for wake in wakes),
                peer=peer,
                unit="s",
                goal="ratio <= 0.125",
            ),
            Row(
                name="fast: the same, nothing imported ahead",
                ours=median(wake.cold for wake in wakes),
                peer=peer,
                unit="s",
            ),
            Row(
                name="fast: memory that prewarmed imports take",
                ours=median(wake.kept for wake in wakes) / 2**20,
                unit="MiB",
            ),
        ]

    def _fidelity(self) -> list[Row]:
        def row(name: str, ours: float, unit: str, goal: str = "") -> Row:
            return Row(name=name, ours=ours, unit=unit, goal=goal)

        found, count = self.fidelity, GREEDY_TOKENS
        return [
            row(
                "exact: greedy tokens that are upstream's",
                found.same_tokens,
                f"of {count}",
                f"ours >= {count}",
            ),
            row("exact: joined stream from one decode", found.stream, "of the peak", "ours <= 0.0001"),
            row("another text from the same decode", found.texts, "of the peak", "ours >= 0.1"),
            row("fast: least likeness of logits to the exact ones", found.cosine, "cosine", "ours >= 0.999"),
            row("fast: mel spectrum from the exact one", found.mel, "dB", "ours <= 1"),
            row("mel spectrum of another text", found.mel_texts, "dB"),
        ]

    def _both(
        self, name: str, of: Callable[[Report], float], unit: str, *, fast: str = "", exact: str = ""
    ) -> list[Row]:
        peer = self._median("upstream", of)
        return [
            Row(name=f"{side}: {name}", ours=self._median(side, of), peer=peer, unit=unit, goal=goal)
            for side, goal in zip(OURS, (fast, exact), strict=True)
        ]

    def _median(self, side: str, of: Callable[[Report], float]) -> float:
        return median(map(of, self._of(side)))

    def _of(self, side: str) -> list[Report]:
        return [one.reports[side] for one in self.taken if side in one.reports]

    def _all_firsts(self, side: str) -> list[float]:
        return [seconds for report in self._of(side) for seconds in report.firsts]


def _p95(seconds: Sequence[float]) -> float:
    return quantiles(seconds, n=20, method="inclusive")[-1]
