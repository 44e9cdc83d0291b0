"""What each process of a plan is, and how it is started."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from msgspec.structs import replace

from kapelle.config import orders
from kapelle.config.orders import LOCAL, Holding
from kapelle.config.settings import Settings
from kapelle.control.plan import Plan, ReplicaPlan, memory_environment, thread_environment
from kapelle.control.rundir import Record, RunDir
from kapelle.declare.apps import AppSpec

Role = Literal["gateway", "replica"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """A place in the plan, and how to start a process for it.

    ``slot`` is the place's name; the process there has the same, or ``slot~2`` when it took over from another.
    ``holding`` is what it holds as planned. ``orders`` makes what it is told from its name, what it shall hold, and the
    numbers of its sockets (data or door, and control).
    ``digest`` tells whether a process that runs was started by the same recipe, ``content`` whether it was of the same
    local artifacts; "" when it is to hold a release, for that changes while it runs.
    """

    slot: str
    role: Role
    service: str
    holding: Holding
    module: str
    orders: Callable[[str, Holding, int, int], bytes]
    environment: dict[str, str]
    memory_limit: int | None
    digest: str
    content: str = ""
    code: str = ""
    """The version of the user's code that it runs; "" for what is on the machine."""

    def fits(self, record: Record) -> bool:
        """Whether the process on record may go on in this place."""
        if record.digest != self.digest:
            return False
        return self.holding.release != LOCAL or (record.release, record.content) == (LOCAL, self.content)


def slot_of(name: str) -> str:
    """The place in the plan of a process of this name."""
    return name.partition("~")[0]


def successor_name(name: str) -> str:
    """The name of the process that takes over from this one."""
    slot, _, generation = name.partition("~")
    return f"{slot}~{int(generation or 1) + 1}"


def recipes(plan: Plan, run: RunDir) -> list[Recipe]:
    """The recipes of all processes of a plan: replicas first, so that gateways find them when they start."""
    code = _code_digest(plan)
    environment = thread_environment(len(plan.replicas)) | memory_environment()
    replicas = [_replica(plan, one, environment, code) for one in plan.replicas]
    return replicas + [_gateway(plan, run, name, code) for name in plan.gateways]


def _replica(plan: Plan, replica: ReplicaPlan, environment: dict[str, str], code: str) -> Recipe:
    service, settings = replica.service, plan.settings
    holding = Holding(plan.release, list(replica.shards))
    blank = orders.WorkerOrders(
        target=plan.target,
        service=service.name,
        replica="",
        holding=Holding("", []),
        artifacts=str(plan.stock.artifacts),
        store=plan.stock.store,
        cache=str(plan.stock.cache),
        data=0,
        control=0,
        settings=settings,
    )

    def make_orders(name: str, held: Holding, data: int, control: int) -> bytes:
        return orders.encode(replace(blank, replica=name, holding=held, data=data, control=control))

    matters = Settings(
        log_format=settings.log_format, log_level=settings.log_level, drain_timeout=settings.drain_timeout
    )
    return Recipe(
        replica.name, "replica", service.name, holding, "kapelle.worker.main", make_orders, environment,
        service.memory_limit, _digest(replace(blank, settings=matters), code), _content(plan, replica.shards), plan.code,
    )  # fmt: skip


def _gateway(plan: Plan, run: RunDir, slot: str, code: str) -> Recipe:
    settings = plan.settings
    blank = orders.GatewayOrders(
        target=plan.target, name="", release="", artifacts=str(plan.stock.artifacts), store=plan.stock.store,
        cache=str(plan.stock.cache), http=0, control=0, door="", controller=run.controller, settings=settings,
    )  # fmt: skip

    def make_orders(name: str, held: Holding, door: int, control: int) -> bytes:
        told = replace(
            blank, name=name, release=held.release, resting=held.resting, http=door, control=control,
            door=str(run.door(name)),
        )  # fmt: skip
        return orders.encode(told)

    # How many others there are, and how the controller treats them, is nothing to a gateway.
    matters = replace(
        settings, gateways=1, shard_processes=0, transport="unix", run_dir="", start_timeout=0.0, hang_timeout=0.0,
        release="", bake=0.0, prepare_timeout=0.0,
    )  # fmt: skip
    return Recipe(
        slot, "gateway", "", Holding(plan.release, [0], plan.resting), "kapelle.gateway.main", make_orders,
        memory_environment(), None, _digest(replace(blank, settings=matters), code),
        _content(plan, sorted(plan.shard_counts.items())), plan.code,
    )  # fmt: skip


def _content(plan: Plan, shards: object) -> str:
    return str(shards) if plan.release == LOCAL else ""


def _digest(told: orders.WorkerOrders | orders.GatewayOrders, code: str) -> str:
    return hashlib.sha256(orders.encode(told) + code.encode()).hexdigest()[:16]


def _code_digest(plan: Plan) -> str:
    """Of the files that declare the app and its services: a process that runs an older text of them is outdated."""
    if not isinstance(plan.app, AppSpec):
        return plan.code
    classes = [plan.app.cls, *(service.cls for service in plan.app.services.values())]
    files = sorted({Path(inspect.getfile(one)) for one in classes})
    return hashlib.sha256(b"".join(file.read_bytes() for file in files if file.is_file())).hexdigest()
