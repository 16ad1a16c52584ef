"""
A made-up day of traffic: people as they behave and robots as they are built, seeded, with the truth kept apart.

It knows nothing of the rules and imports none of them. What is taken from elsewhere: the mean time to a click (6.5 s
over the results of a search in their normal order: Pan, Hembrooke, Joachims, Lorigo, Gay and Granka, "In Google we
trust", JCMC 12, 2007), the latency of an unwanted tap (mean simple reaction time, 231 ms: Woods et al., Frontiers in
Human Neuroscience 9:131, 2015), and the user agents of robots (examples of the package crawler-user-agents). Every
other number, the shapes of the distributions and the mix are ours.
"""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from crawleruseragents import CRAWLER_USER_AGENTS_DATA

SECOND_US = 1_000_000
HOUR_US = 3_600 * SECOND_US
CREATIVES, PLACEMENTS = 40, 12
CLICK_MEAN_S, CLICK_SIGMA = 6.5, 0.8
TAP_MEAN_S, TAP_SD_S = 0.231, 0.06
CLICK_SHARE = 0.25
LISTED_CLOUDS = ("3.0.0.0/9", "35.192.0.0/12", "47.88.0.0/14")
UNLISTED_SHARE = 0.3
BROWSERS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:143.0) Gecko/20100101 Firefox/143.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Safari/605.1.15",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Mobile",
    "Mozilla/5.0 (Linux; Android 14; SM-S928B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/27.0 Mobile",
    "Mozilla/5.0 (Linux; Android 13; M2012K11AC) AppleWebKit/537.36 Chrome/132.0.0.0 Mobile MicroMessenger/8.0.56",
    "Mozilla/5.0 (Linux; Android 14; CUBOT P80) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Mobile",
)
ROBOTS = tuple(example for one in CRAWLER_USER_AGENTS_DATA for example in one.get("instances", ()))


@dataclass(frozen=True, slots=True)
class Request:
    """What a server sees. `view` numbers what was shown; `person` is 0 where no cookie is known."""

    at_us: int
    kind: str
    view: int
    user_agent: str
    purpose: str
    address: str
    person: int
    creative: int
    placement: int


@dataclass(frozen=True, slots=True)
class Truth:
    """
    What a request really is: of whom, and whether it is one of its own.

    `repeats` marks what a person did not mean as another click, the second half of a double click for example.
    """

    human: bool
    actor: str
    repeats: bool = False


@dataclass(slots=True)
class Day:
    """Requests, and beside them the truth about each."""

    requests: list[Request] = field(default_factory=list)
    truths: list[Truth] = field(default_factory=list)
    views: int = 0
    persons: int = 0

    def in_time(self) -> tuple[list[Request], list[Truth]]:
        """Both in the sequence in which the requests come in."""
        order = sorted(range(len(self.requests)), key=lambda index: (self.requests[index].at_us, index))
        return [self.requests[index] for index in order], [self.truths[index] for index in order]


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who sends requests: a browser or a robot, with an address and perhaps a cookie."""

    user_agent: str
    address: str
    person: int
    truth: Truth
    purpose: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """One advertisement that somebody was shown."""

    number: int
    at_us: int
    creative: int
    placement: int


class Population:
    """Fills a day that begins at `start_us` with what `people` people and a matching number of robots do."""

    def __init__(self, seed: int, people: int, start_us: int) -> None:
        self.day = Day()
        self._dice = random.Random(seed)
        self._people = people
        self._start_us = start_us

    def play(self) -> Day:
        """Everybody's day."""
        for behaviour, share in _PEOPLE.items():
            for number in range(round(self._people * share)):
                self._human(behaviour, number)
        for kind, share in _ROBOTS.items():
            robot = getattr(self, f"_{kind}")
            for _ in range(max(1, round(self._people * share))):
                robot(Truth(human=False, actor=kind))
        return self.day

    # What everybody does.

    def _see(self, caller: Caller, at_us: int, creative: int | None = None, placement: int | None = None) -> View:
        self.day.views += 1
        creative = self._dice.randrange(CREATIVES) if creative is None else creative
        placement = self._dice.randrange(PLACEMENTS) if placement is None else placement
        view = View(self.day.views, at_us, creative, placement)
        self._send(caller, "impression", view, at_us)
        return view

    def _send(self, caller: Caller, kind: str, view: View, at_us: int, *, repeats: bool = False) -> None:
        self.day.requests.append(
            Request(
                at_us,
                kind,
                view.number,
                caller.user_agent,
                caller.purpose,
                caller.address,
                caller.person,
                view.creative,
                view.placement,
            )
        )
        self.day.truths.append(Truth(caller.truth.human, caller.truth.actor, repeats))

    def _click(self, caller: Caller, view: View, after_s: float) -> int:
        at_us = view.at_us + int(after_s * SECOND_US)
        self._send(caller, "click", view, at_us)
        return at_us

    def _cookie(self) -> int:
        self.day.persons += 1
        return self.day.persons

    def _home(self) -> str:
        """An address in blocks of European and Asian access networks; none of them is a cloud's."""
        first = self._dice.choice((78, 79, 84, 85, 91, 93, 113, 114, 119, 124))
        return f"{first}.{self._dice.randrange(256)}.{self._dice.randrange(256)}.{self._dice.randrange(1, 255)}"

    def _some_time(self) -> int:
        """People sleep: most come between 7 and 23 o'clock."""
        hour = min(23.99, max(0.0, self._dice.gauss(15.5, 4.5)))
        return self._start_us + int(hour * HOUR_US)

    def _think_s(self) -> float:
        return self._dice.lognormvariate(math.log(CLICK_MEAN_S) - CLICK_SIGMA**2 / 2, CLICK_SIGMA)

    # People.

    def _human(self, behaviour: str, number: int) -> None:
        person = 0 if behaviour == "private_window" else self._cookie()
        crowd = _CROWDS.get(behaviour)
        address = f"{188 if behaviour == 'office' else 109}.7.{number // crowd}.9" if crowd else self._home()
        caller = Caller(self._dice.choice(BROWSERS), address, person, Truth(human=True, actor=behaviour))
        at_us = self._some_time()
        for _ in range(self._dice.randint(1, 8)):
            view = self._see(caller, at_us)
            at_us += int(self._dice.expovariate(1 / 40) * SECOND_US) + SECOND_US
            if self._dice.random() < CLICK_SHARE:
                at_us = max(at_us, self._behave(caller, behaviour, view))

    def _behave(self, caller: Caller, behaviour: str, view: View) -> int:
        if behaviour == "unwanted_tap":
            return self._click(caller, view, max(0.08, self._dice.gauss(TAP_MEAN_S, TAP_SD_S)))
        clicked_us = self._click(caller, view, self._think_s())
        if behaviour == "double_click":
            self._send(caller, "click", view, clicked_us + self._dice.randint(80_000, 400_000), repeats=True)
        elif behaviour == "reload":
            self._send(caller, "impression", view, view.at_us + self._dice.randint(300_000, 900_000), repeats=True)
        elif behaviour == "comes_back":
            later_us = clicked_us + self._dice.randint(60, 1_500) * SECOND_US
            again = self._see(caller, later_us, view.creative, view.placement)
            return self._click(caller, again, self._think_s())
        return clicked_us

    # Robots.

    def _declared_crawler(self, truth: Truth) -> None:
        caller = Caller(self._dice.choice(ROBOTS), self._home(), self._dice.choice((0, self._cookie())), truth)
        for _ in range(self._dice.randint(2, 20)):
            self._click(caller, self._see(caller, self._some_time()), self._dice.uniform(0.05, 5))

    def _headless_fast(self, truth: Truth) -> None:
        caller = Caller(self._dice.choice(BROWSERS), self._home(), self._cookie(), truth)
        for _ in range(self._dice.randint(3, 15)):
            self._click(caller, self._see(caller, self._some_time()), self._dice.uniform(0.003, 0.25))

    def _headless_patient(self, truth: Truth) -> None:
        """Waits as people do, from many addresses, with a cookie for each visit: what general rules cannot tell."""
        for _ in range(self._dice.randint(3, 15)):
            caller = Caller(self._dice.choice(BROWSERS), self._home(), self._cookie(), truth)
            self._click(caller, self._see(caller, self._some_time()), self._think_s())

    def _click_farm(self, truth: Truth) -> None:
        """A room full of phones behind one address, for some hours on one placement."""
        address, placement, start_us = self._home(), self._dice.randrange(PLACEMENTS), self._some_time()
        for _ in range(self._dice.randint(100, 400)):
            caller = Caller(self._dice.choice(BROWSERS), address, self._cookie(), truth)
            at_us = start_us + self._dice.randrange(3 * HOUR_US)
            self._click(caller, self._see(caller, at_us, placement=placement), self._think_s())

    def _tireless_clicker(self, truth: Truth) -> None:
        """One cookie that clicks on everything for an hour."""
        caller, start_us = Caller(self._dice.choice(BROWSERS), self._home(), self._cookie(), truth), self._some_time()
        for _ in range(self._dice.randint(40, 120)):
            self._click(caller, self._see(caller, start_us + self._dice.randrange(HOUR_US)), self._think_s())

    def _token_replay(self, truth: Truth) -> None:
        caller = Caller(self._dice.choice(BROWSERS), self._home(), self._cookie(), truth)
        view = self._see(caller, self._some_time())
        for _ in range(self._dice.randint(20, 200)):
            self._click(caller, view, self._dice.uniform(1, 3_600))

    def _prefetcher(self, truth: Truth) -> None:
        purpose = self._dice.choice(("prefetch", "prefetch;prerender", "prefetch;anonymous-client-ip", "preview"))
        caller = Caller(self._dice.choice(BROWSERS), self._home(), self._cookie(), truth, purpose)
        for _ in range(self._dice.randint(1, 6)):
            self._click(caller, self._see(caller, self._some_time()), self._dice.uniform(0.1, 2))

    def _data_centre(self, truth: Truth) -> None:
        """A browser in a cloud; three of ten clouds are on nobody's list."""
        listed = self._dice.random() >= UNLISTED_SHARE
        first = self._dice.choice(("3.5", "35.200", "47.90")) if listed else self._dice.choice(("5.9", "51.15"))
        address = f"{first}.{self._dice.randrange(256)}.{self._dice.randrange(1, 255)}"
        caller = Caller(self._dice.choice(BROWSERS), address, self._cookie(), truth)
        for _ in range(self._dice.randint(5, 30)):
            self._click(caller, self._see(caller, self._some_time()), self._think_s())


_PEOPLE = {
    "reader": 0.40,
    "office": 0.16,
    "carrier_nat": 0.18,
    "private_window": 0.06,
    "double_click": 0.06,
    "reload": 0.05,
    "comes_back": 0.05,
    "unwanted_tap": 0.04,
}
"""Shares of people by what they do; they sum up to 1."""
_CROWDS = {"office": 60, "carrier_nat": 1_500}
"""How many people share an address."""
_ROBOTS = {
    "declared_crawler": 0.010,
    "headless_fast": 0.010,
    "headless_patient": 0.010,
    "click_farm": 0.0004,
    "tireless_clicker": 0.001,
    "token_replay": 0.001,
    "prefetcher": 0.020,
    "data_centre": 0.005,
}
"""Robots for each person of the population."""


def behaviours() -> Iterator[str]:
    """Everything that an actor may be, people first."""
    yield from _PEOPLE
    yield from _ROBOTS
