"""Benchmarks: a grid of evaluations in one YAML file becomes a table. In: a spec. Out: a folder of results.

`load_spec` reads and checks the file, `make_tasks` creates everything it names before anything runs, `run`
goes through the jobs and can be stopped at any moment, `write_reports` makes the table of what is there.
"""

from microexp.benchmark._document import SpecError
from microexp.benchmark._recognisers import make_recognizers
from microexp.benchmark.plan import Job, Plan, Task, make_plan, make_quality_tasks, make_tasks
from microexp.benchmark.report import write_reports
from microexp.benchmark.run import State, run, states
from microexp.benchmark.spec import Changes, Spec, load_spec, shipped_specs

__all__ = [
    "Changes",
    "Job",
    "Plan",
    "Spec",
    "SpecError",
    "State",
    "Task",
    "load_spec",
    "make_plan",
    "make_quality_tasks",
    "make_recognizers",
    "make_tasks",
    "run",
    "shipped_specs",
    "states",
    "write_reports",
]
