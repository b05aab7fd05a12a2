# SPDX-License-Identifier: Apache-2.0
"""Plays the acts of the plan, one after the other, while the traffic goes on.

A kill is over when all partitions are open again somewhere, unless the plan lets the next act begin at once. An
instance that was armed (kill:NAME) is given a while to die at its place; then it is killed wherever it is.
"""

import random
import signal
import time
import uuid

from place import PARTITIONS, SERVICE
from plan import DURATIONS
from requester import MARKER

ARMED_S = 8  # how long an armed instance may take to pass its place
TAKEOVER_S = 60  # longer than any takeover may take: then the checker says so
HALF_AN_HOUR_MS = 1800 * 1000
LONG_GONE_S = 14  # others have taken over by then
ACT_S, SPREAD_S = 5, {"halt": 25, "takeover": 25, "broker-stop": 1.5}  # the traffic of an act is spread over this


class Director:
    def __init__(self, place, lives, traffic, acts, say, seed):
        self.place, self.lives, self.traffic, self.acts, self.say = place, lives, traffic, acts, say
        self.broker = place.broker
        self.dice = random.Random(f"{seed}/director")
        self.events = []  # (Unix seconds, what): whatever may disturb a takeover
        self.pause_s, self.stop_s = 1.0, 15.0

    def play(self, begin=0):
        """Act by act; yields the number of those that are over."""
        for n, act in enumerate(self.acts[begin:], begin):
            spread_s = SPREAD_S.get(act.kind, ACT_S)
            self.traffic.go(len(self.traffic.steps) * (n + 1) // len(self.acts), spread_s)
            getattr(self, act.kind.replace("-", "_"))(act)
            if not act.overlap:
                self.until(self.all_open, TAKEOVER_S)
            self.say(n + 1)
            yield n + 1

    # -- waiting -----------------------------------------------------------------------------------------------------

    def turn(self):
        self.lives.turn(self.pause_s, self.stop_s)

    def pause(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.turn()

    def until(self, condition, within_s, every_s=0.0):
        """Whether it came to hold."""
        end = time.monotonic() + within_s
        while not condition():
            if time.monotonic() > end:
                return False
            self.turn()
            self.pause(every_s)
        return True

    def all_open(self):
        """Or closed, which will be told by what stays unanswered."""
        return not self.lives.resume_at and self.all_held()

    def all_held(self):
        return len(self.lives.held() | self.lives.closed()) == PARTITIONS

    def any_of_ours(self):
        """One that runs and is not stopped, an armed one rather."""
        self.until(lambda: any(i in self.lives.names and i not in self.lives.resume_at for i in self.lives.alive()),
                   TAKEOVER_S)
        running = [i for i in self.lives.alive() if i in self.lives.names and i not in self.lives.resume_at]
        armed = [i for i in running if self.lives.now[i].order.startswith("kill")]
        return self.dice.choice(armed or running)

    def happened(self, what):
        self.events.append((time.time(), what))

    # -- acts --------------------------------------------------------------------------------------------------------

    def kill(self, act):
        victim = self.any_of_ours()
        life, kills = self.lives.now[victim], self.lives.kills
        self.pause_s, self.lives.next_order = act.pause_s, act.order
        if life.order.startswith("kill"):
            self.until(lambda: self.lives.now.get(victim) is not life, ARMED_S)
        else:
            self.pause(self.dice.uniform(0, 3))
        if self.lives.kills == kills and self.lives.now.get(victim) is life:
            self.lives.kill(victim)
            self.lives.again_at[victim] = time.monotonic() + act.pause_s
        self.until(lambda: victim in self.lives.now, TAKEOVER_S)

    def stop(self, act):
        """Longer than session and transaction timeouts; then it goes on, and is somebody of the past."""
        victim = self.any_of_ours()
        self.happened("stop")
        self.lives.stop(victim, act.pause_s)
        self.until(lambda: victim not in self.lives.resume_at, act.pause_s + 5)

    def halt(self, act):
        """An instance stops itself at a place; when others have had its partitions for a while, it goes on there."""
        self.stop_s = 2 * TAKEOVER_S
        victim = self.arm(self.any_of_ours(), act.order)
        self.until(lambda: victim in self.lives.resume_at, TAKEOVER_S)
        self.happened("stop")
        self.until(self.all_held, TAKEOVER_S)
        self.pause(act.pause_s)
        if victim in self.lives.resume_at:
            self.lives.go_on(victim)
        self.pause(3)

    def takeover(self, _):
        """One dies with a transaction open; another, which is armed to die as it ends that, may be who takes over."""
        self.pause_s = LONG_GONE_S
        heir = self.arm(self.any_of_ours(), "kill:takeover")
        self.until(self.all_held, TAKEOVER_S)
        owner = self.arm(self.dice.choice([i for i in self.lives.names if i != heir]), "kill:done-written:2")
        life = self.lives.now[owner]
        self.until(lambda: self.lives.now.get(owner) is not life, TAKEOVER_S)
        self.until(self.all_held, TAKEOVER_S)

    def arm(self, instance, order):
        """It is killed, if it runs, and started again to die or to stop at a place."""
        if instance in self.lives.now:
            self.lives.kill(instance)
        self.lives.start(instance, order)
        return instance

    def broker_kill(self, act):
        self.happened("broker")
        self.broker.kill()
        self.pause(act.pause_s)
        self.broker.start()
        self.happened("broker")

    def broker_stop(self, act):
        self.pause(self.dice.uniform(0.2, 1.2))  # into the midst of the act's traffic
        self.happened("broker")
        self.broker.process.send_signal(signal.SIGSTOP)
        self.pause(act.pause_s)
        self.broker.process.send_signal(signal.SIGCONT)
        self.happened("broker")

    def storm(self, act):
        """Instances that come and go faster than the group settles."""
        for n in range(4):
            guest = f"x{n}"
            self.happened("storm")
            self.lives.start(guest)
            self.pause(self.dice.uniform(0.3, 2.5))
            if guest in self.lives.now:
                self.lives.terminate(guest)
        self.until(lambda: all(i in self.lives.names for i in self.lives.alive()), TAKEOVER_S)
        self.happened("storm")

    def back_again(self, act):
        """A -> B -> A: A sleeps until B has its partitions, and wakes up as B goes."""
        a = self.any_of_ours()
        self.happened("stop")
        self.lives.stop(a, 40)
        self.until(self.all_held, 30)
        for b in self.lives.alive():
            if b != a and b in self.lives.names:
                self.lives.terminate(b)
        self.pause_s = 3.0
        self.happened("storm")
        if a in self.lives.now:
            self.lives.go_on(a)
        self.until(lambda: len(self.lives.alive()) == len(self.lives.names), TAKEOVER_S)

    def plant(self, _):
        """Tokens that no POST made, and that people may have made by copying: none of them may be touched."""
        ids = self.place.cluster_ids
        marked = [t for t in self.place.sandbox.ask("GET", "/truth?tokens=alive")["tokens"] if t["post"] is not None]
        unknown = f"{SERVICE}:telemetry:{self.dice.randrange(PARTITIONS)}:{uuid.UUID(int=self.dice.getrandbits(128))}"
        texts = [
            (ids["prod"], f"planted [tokend/1:{unknown}]", 0),
            (ids["prod"], f"planted [tokend/1:{unknown}]", DURATIONS["WINDOW"] - HALF_AN_HOUR_MS),
            (ids["prod"], "planted [tokend/1:another:telemetry:1:6ba7b810-9dad-11d1-80b4-00c04fd430c8]", 0),
        ]
        if marked:
            token = self.dice.choice(marked)
            where = ids["edge"] if token["product"] == "clustered" else token["cluster_id"]
            age_ms = time.time() * 1000 - token["created_ms"]
            texts.append((ids["edge"] if where != ids["edge"] else ids["prod"], token["description"], 0))
            if age_ms > 60_000 and MARKER.search(token["description"]):
                texts.append((where, token["description"], 0))
        for cluster, description, age_ms in texts:
            self.place.sandbox.ask(
                "POST",
                "/control/plant",
                {"cluster": cluster, "description": description, "created_ms": round(time.time() * 1000) - age_ms},
            )

    def cut_journal(self, _):
        """While nobody is there, and all is answered, the journal is lost. An operator says that it goes on."""
        self.until(lambda: self.traffic.n_written >= self.traffic.allowed and self.place.all_answered(), TAKEOVER_S)
        names = self.lives.names
        self.leave()
        self.place.lose_journal()
        self.lives.names = names
        for instance in names:
            self.lives.start(instance)
        self.until(self.all_held, TAKEOVER_S)
        for partition in sorted(self.lives.closed()):
            self.place.accept_loss(partition, names[0])

    # -- the end -----------------------------------------------------------------------------------------------------

    def disarm(self):
        """From here on nobody dies any more."""
        self.lives.next_order, self.pause_s = "", 0.5
        for instance in self.lives.alive():
            if self.lives.now[instance].order:
                self.lives.terminate(instance)
        self.until(self.all_back, 2 * TAKEOVER_S)

    def all_back(self):
        unarmed = all(not life.order for life in self.lives.now.values())
        return unarmed and sorted(self.lives.names) == self.lives.alive() and self.all_open()

    def leave(self):
        """All end in good order; whoever does not is told."""
        instances = self.lives.alive()
        self.lives.names = []  # nobody comes back
        self.lives.again_at.clear()
        for instance in instances:
            self.lives.terminate(instance)
        self.until(lambda: not self.lives.alive(), TAKEOVER_S)
        return self.lives.alive()
