"""Content-addressed tasks run through dpdispatcher, locally or on a scheduler."""

from alh2.dispatch.run import Progress, run_tasks
from alh2.dispatch.tasks import Task, TaskOutcome, task_digest

__all__ = ["Progress", "Task", "TaskOutcome", "run_tasks", "task_digest"]
