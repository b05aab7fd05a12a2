# SPDX-License-Identifier: Apache-2.0
"""The instances of a run, life by life: started, armed, signalled, found dead, started again.

A life is one process. What is known of it stays on record when it is over: when it began and ended and how, the last
metrics that it told, its log. From the logs alone come the takeover times and whether an instance was fenced that
nobody had touched.
"""

import dataclasses
import json
import signal
import threading
import time
import urllib.error
import urllib.request

from conftest import Tokend, free_port
from place import TIME_SCALE

POLL_S = 0.05
METRICS_EVERY_S = 0.5
FENCED = ("fenced", "PRODUCER_EPOCH", "INVALID_TXN")


class Instance(Tokend):
    """A tokend that is asked often what it holds."""

    held = closed = frozenset()  # partitions that are open here, and that R11 keeps closed

    def open(self):
        for line in self.lines():
            if line["msg"] in ("gave the partitions up", "the partitions are lost"):
                self.held = self.closed = frozenset()
            elif line["msg"] == "restored":
                self.held |= {line["partition"]}
            elif line["msg"].startswith("the partition stays closed"):
                self.closed |= {line["partition"]}
        self.whole.clear()
        return self.held


@dataclasses.dataclass
class Life:
    """What stays of a process."""

    number: int
    instance: str
    began: float  # Unix seconds
    order: str = ""
    ended: float = 0.0
    how: str = ""  # killed, hit NAME, left, ended, exit N
    touched: bool = False  # it was stopped, or told to stop at a place: it may be fenced

    @property
    def name(self):
        return f"{self.number:04}-{self.instance}"

    @property
    def log(self):
        return f"tokend-{self.name}.log"

    @property
    def metrics(self):
        return f"metrics-{self.name}"


class Lives:
    def __init__(self, place, instances, rules_off, on_start):
        self.place, self.rules_off, self.on_start = place, rules_off, on_start
        self.names = [f"i{n}" for n in range(instances)]
        self.past, self.now, self.process = [], {}, {}  # now: instance -> Life; process: instance -> Tokend
        self.resume_at, self.again_at = {}, {}  # instance -> monotonic seconds
        self.next_order = ""
        self.kills, self.hits = 0, []
        self.asking = threading.Event()
        self.lock = threading.Lock()
        threading.Thread(target=self.keep_asking, daemon=True).start()

    def take_over(self, lives, kills, hits):
        """From an interrupted run, with which those that were alive have died."""
        for life in lives:
            if not life.how or not life.ended:
                life.ended, life.how = (self.place.folder / life.log).stat().st_mtime, "interrupted"
        self.past, self.kills, self.hits = lives, kills, hits

    # -- starting and ending -----------------------------------------------------------------------------------------

    def start(self, instance, order=""):
        life = Life(len(self.past) + len(self.now) + 1, instance, time.time(), order, touched=order.startswith("stop"))
        ops_port = free_port()
        environment = {
            "TOKEND_CHAOS": ",".join(o for o in (order, self.rules_off) if o),
            "TOKEND_CHAOS_LOG": str(self.hit_log(life)),
            "TOKEND_TIME_SCALE": str(TIME_SCALE),
        }
        self.again_at.pop(instance, None)
        process = Instance(
            self.place.configure(instance, ops_port), self.place.folder / life.log, ops_port, environment=environment
        )
        with self.lock:
            self.now[instance], self.process[instance] = life, process
        self.on_start()

    def hit_log(self, life):
        return self.place.folder / f"hit-{life.name}"

    def alive(self):
        return sorted(self.now)

    def kill(self, instance):
        """kill -9, whatever it is doing, stopped or not."""
        self.process[instance].signal(signal.SIGKILL)
        self.process[instance].process.wait()
        self.bury(instance, "killed")

    def terminate(self, instance):
        self.process[instance].signal(signal.SIGCONT)
        self.process[instance].signal(signal.SIGTERM)
        self.now[instance].how = "left"

    def stop(self, instance, seconds):
        self.now[instance].touched = True
        self.process[instance].signal(signal.SIGSTOP)
        self.resume_at[instance] = time.monotonic() + seconds

    def go_on(self, instance):
        self.resume_at.pop(instance, None)
        self.process[instance].signal(signal.SIGCONT)

    def bury(self, instance, how):
        with self.lock:
            life, process = self.now.pop(instance), self.process.pop(instance)
        self.resume_at.pop(instance, None)
        hit = self.hit_log(life)
        life.ended, life.how = time.time(), how
        if hit.exists():
            self.hits += hit.read_text().split()
            if how == "killed" and life.order.startswith("kill"):
                life.how = f"hit {life.order.split(':')[1]}"
                life.ended = hit.stat().st_mtime
        self.kills += how == "killed"
        self.past.append(life)
        return life, process

    # -- time passes -------------------------------------------------------------------------------------------------

    def turn(self, pause_s=1.0, stop_s=15.0):
        """See who died or stopped by itself; let go on and start again what it is time for."""
        time.sleep(POLL_S)
        for instance in self.alive():
            life, status = self.now[instance], self.process[instance].process.poll()
            if status is not None:
                by_order = status == -signal.SIGKILL
                self.bury(instance, "killed" if by_order else life.how if status == 0 and life.how else
                          f"exit {status}")
                if instance in self.names:
                    self.again_at.setdefault(instance, time.monotonic() + pause_s)
            elif instance not in self.resume_at and self.is_stopped(instance):
                self.resume_at[instance] = time.monotonic() + stop_s
            elif self.resume_at.get(instance, float("inf")) <= time.monotonic():
                self.go_on(instance)
        for instance, at in list(self.again_at.items()):
            if at <= time.monotonic():
                self.start(instance, self.next_order)
                self.next_order = ""

    def is_stopped(self, instance):
        try:
            with open(f"/proc/{self.process[instance].process.pid}/stat") as f:
                return f.read().rsplit(")", 1)[1].split()[0] == "T"
        except OSError:
            return False

    def held(self):
        """Partitions that are restored and open somewhere now."""
        return {p for i in self.alive() if i not in self.resume_at for p in self.process[i].open()}

    def closed(self):
        return {p for i in self.alive() if i not in self.resume_at for p in self.process[i].closed}

    # -- metrics -----------------------------------------------------------------------------------------------------

    def keep_asking(self):
        """Counters die with their process: what it told last is kept."""
        while not self.asking.wait(METRICS_EVERY_S):
            with self.lock:
                now = [(self.now[i], self.process[i]) for i in self.now if i not in self.resume_at]
            for life, process in now:
                try:
                    with urllib.request.urlopen(process.ops + "/metrics", timeout=1) as r:
                        (self.place.folder / life.metrics).write_bytes(r.read())
                except (OSError, ValueError, urllib.error.URLError):
                    pass

    def close(self):
        self.asking.set()
        for instance in self.alive():
            self.kill(instance)

    # -- what stays --------------------------------------------------------------------------------------------------

    def everyone(self):
        return sorted(self.past + list(self.now.values()), key=lambda life: life.number)


def read_log(path):
    """Its lines, parsed; what is no JSON object is none of tokend's."""
    found = []
    for line in path.read_bytes().splitlines() if path.exists() else ():
        try:
            found.append(json.loads(line))
        except ValueError:
            pass
    return found
