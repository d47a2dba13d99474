"""Trials over a Ray cluster (https://docs.ray.io): one task a trial, with its threads and a GPU where the cluster has
any.

A task whose worker or machine dies is started anew by Ray, elsewhere, and goes on from the trial's last checkpoint: the
study's folder must lie where all machines of the cluster see it.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

from foldnet.errors import FoldnetError, MissingTool
from foldnet.studies.local import Outcome
from foldnet.studies.trial import Site, Trial
from foldnet.studies.worker import Doing

DEATHS = 5  # of workers, after which a trial counts as failed


class Ray:
    """Trials as tasks of a cluster: the one that RAY_ADDRESS names, else the one that `ray start` began here, else one
    of this machine alone."""

    def __init__(self, do: Doing, jobs: int | None, site: Site) -> None:
        """Without `jobs` as many at one time as the cluster has room for. Raises MissingTool."""
        try:
            import ray as found
        except ImportError:
            raise MissingTool("`engine='ray'` needs Ray, and it is not installed; `pip install foldnet[ray]`") from None
        self.ray: Any = found
        if not self.ray.is_initialized():
            self.ray.init(logging_level="error", log_to_driver=False)
        has = self.ray.cluster_resources()
        self.needs = {"num_cpus": site.threads, "num_gpus": 1 if has.get("GPU") else 0}
        self.do, self.jobs = do, jobs
        self.running: dict[Any, Trial] = {}

    @property
    def free(self) -> int:
        """How many more trials may be started."""
        room = int(self.ray.cluster_resources().get("CPU", 1) // self.needs["num_cpus"])
        return (self.jobs or max(room, 1)) - len(self.running)

    def start(self, trial: Trial, site: Site) -> None:
        """Give a trial to the cluster."""
        task = self.ray.remote(_work).options(max_retries=DEATHS, name=trial.title, **self.needs)
        self.running[task.remote(self.do, trial, site)] = trial

    def wait(self, seconds: float) -> list[Outcome]:
        """The trials that have ended, at once or within some seconds."""
        ended, _ = self.ray.wait(list(self.running), num_returns=1, timeout=seconds)
        return [self._end(reference) for reference in ended]

    def stop(self) -> list[Outcome]:
        """Interrupt every trial: it goes on from its last checkpoint another time."""
        for reference in self.running:
            self.ray.cancel(reference)
        return [self._end(reference) for reference in list(self.running)]

    def _end(self, reference: Any) -> Outcome:
        """What came of a task."""
        trial = self.running.pop(reference)
        try:
            result, why = self.ray.get(reference)
        except self.ray.exceptions.TaskCancelledError:
            return Outcome(trial, stopped=True)
        except (self.ray.exceptions.RayError, KeyboardInterrupt) as error:
            lines = str(error).strip().splitlines()
            return Outcome(trial, why=f"its worker was lost ({lines[-1] if lines else type(error).__name__})")
        return Outcome(trial, result, why)


def _work(do: Doing, trial: Trial, site: Site) -> tuple[dict[str, Any] | None, str]:
    """The task: the trial's result, or why there is none."""
    from foldnet.training.observer import Silent

    if not (Path(site.folder) / "config.json").is_file():
        return None, (
            f"machine '{socket.gethostname()}' does not see the study's folder '{site.folder}'; put it, with `out`, on "
            "a file system that all machines of the cluster share"
        )
    try:
        return do(trial, site, Silent()), ""
    except FoldnetError as error:
        return None, str(error)
