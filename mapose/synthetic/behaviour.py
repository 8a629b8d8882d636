"""What the animals do: rest, rear, explore, follow walls and each other, cross, hide, come back.

The rules run at eight steps a second, whatever the frame rate of the video: decisions of a
rodent take longer than that, and a long recording costs seconds. Each step moves a handful of
animals, which plain numbers do six times faster than small arrays.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from mapose.arrays import Bools, Floats
from mapose.synthetic.arena import Arena, Box

Place = tuple[float, float]

STEP_S = 0.125
REST, WALK, FOLLOW, CROSS, APPROACH_BOX, ENTER, LEAVE = range(7)

# Distances in mm, speeds in mm/s. House mice in an open field rest about half of the time and
# walk at 50 to 250 mm/s.
_ARRIVED = 28.0
_MARGIN = 34.0
_GIRTH = 34.0
_FRONT, _BACK = 26.0, -22.0
_TURN = 5.0 * STEP_S
_PUSH = 70.0 * STEP_S


@dataclass(frozen=True)
class Paths:
    """Where animals are at every step of `STEP_S`.

    Parameters
    ----------
    position : float64, (T, I, 2)
        Middle of the body on the floor, mm.
    heading : float64, (T, I)
        Direction of the front, radians, anticlockwise from x, unwrapped.
    rearing : float64, (T, I)
        0 on four feet, 1 upright.
    homing : bool, (T, I)
        Whether the animal is in a box or on its way through the mouth of one.
    """

    position: Floats
    heading: Floats
    rearing: Floats
    homing: Bools


def simulate_paths(arena: Arena, n: int, seconds: float, rng: np.random.Generator) -> Paths:
    """Let animals live in an arena.

    Parameters
    ----------
    arena : Arena
        Where.
    n : int
        How many.
    seconds : float
        How long.
    rng : numpy.random.Generator
        Source of every decision.
    """
    # Two steps more than needed, so that the last frame lies between two.
    steps = math.ceil(seconds / STEP_S) + 2
    herd = _Herd(arena, n, rng)
    table = np.empty((steps, n, 5))
    for t in range(steps):
        herd.advance()
        table[t] = [(a.x, a.y, a.heading, a.rearing, a.box is not None) for a in herd.animals]
    return Paths(table[..., :2], table[..., 2], table[..., 3], table[..., 4] > 0)


@dataclass(eq=False)
class _Animal:
    """One animal at one moment."""

    x: float
    y: float
    heading: float
    clock: float
    mode: int = REST
    speed: float = 0.0
    pace: float = 0.0
    rearing: float = 0.0
    goal: Place = (0.0, 0.0)
    partner: _Animal | None = None
    box: Box | None = None

    def start(self, mode: int, seconds: float, pace: float, goal: Place | None = None) -> None:
        self.mode, self.clock, self.pace = mode, seconds, pace
        if goal is not None:
            self.goal = goal

    def walk(self) -> float:
        """Move one step towards the goal; gives the distance that was left."""
        if self.mode == FOLLOW and self.partner is not None:
            other = self.partner
            self.goal = (
                other.x - 58.0 * math.cos(other.heading),
                other.y - 58.0 * math.sin(other.heading),
            )
        away_x, away_y = self.goal[0] - self.x, self.goal[1] - self.y
        distance = math.hypot(away_x, away_y)
        wanted = 0.0
        if self.mode != REST:
            error = math.remainder(math.atan2(away_y, away_x) - self.heading, math.tau)
            self.heading += max(-_TURN, min(_TURN, 0.45 * error))
            # Animals slow down before a goal and hardly advance while they turn round.
            wanted = self.pace * max(0.35, min(1.0, distance / 60)) * max(0.1, math.cos(error))
        self.speed += 0.4 * (wanted - self.speed)
        self.x += self.speed * STEP_S * math.cos(self.heading)
        self.y += self.speed * STEP_S * math.sin(self.heading)
        return distance


class _Herd:
    """All animals, and the rules between them."""

    def __init__(self, arena: Arena, n: int, rng: np.random.Generator) -> None:
        self.boxes, self.rng = arena.boxes, rng
        self.right, self.top = (arena.half - _MARGIN).tolist()
        self.animals = [
            _Animal(x, y, rng.uniform(-math.pi, math.pi), rng.uniform(0, 1.5), goal=(x, y))
            for x, y in self._find_places(n)
        ]

    def _find_places(self, n: int) -> list[list[float]]:
        """Start apart from each other and outside the boxes: the best of many random draws."""
        high = np.array([self.right, self.top])
        draws = self.rng.uniform(-high, high, (60, n, 2))
        gap = np.linalg.norm(draws[:, :, None] - draws[:, None], axis=-1)
        room = (gap + 1e3 * np.eye(n)).min((1, 2))
        for box in self.boxes:
            room -= 1e3 * box.holds(draws).any(1)
        places: list[list[float]] = draws[room.argmax()].tolist()
        return places

    def advance(self) -> None:
        """Go on by one step."""
        for animal in self.animals:
            distance = animal.walk()
            animal.clock -= STEP_S
            if animal.clock <= 0 or (animal.mode != REST and distance < _ARRIVED):
                self._decide(animal)
        for a, b in combinations(self.animals, 2):
            if abs(a.x - b.x) < 100 and abs(a.y - b.y) < 100:
                _push_apart(a, b)
        for animal in self.animals:
            self._keep_inside(animal)

    def _keep_inside(self, animal: _Animal) -> None:
        if animal.box is None:
            animal.x = max(-self.right, min(self.right, animal.x))
            animal.y = max(-self.top, min(self.top, animal.y))
            for box in self.boxes:
                self._keep_out(animal, box)
        elif _is_inside(animal, animal.box):
            box, edge = animal.box, 18.0
            animal.y = max(box.low[1] + edge, min(box.high[1] - edge, animal.y))
            # The far wall is closed, the mouth is open.
            if box.mouth > 0:
                animal.x = max(box.low[0] + edge, animal.x)
            else:
                animal.x = min(box.high[0] - edge, animal.x)

    def _keep_out(self, animal: _Animal, box: Box) -> None:
        """Move an animal that walks into a box out by the shortest way within the arena."""
        edge = 18.0
        left, bottom = box.low[0] - edge, box.low[1] - edge
        right, top = box.high[0] + edge, box.high[1] + edge
        if not (left < animal.x < right and bottom < animal.y < top):
            return
        exits = [(left, animal.y), (right, animal.y), (animal.x, bottom), (animal.x, top)]
        exits = [(x, y) for x, y in exits if abs(x) <= self.right and abs(y) <= self.top]
        if exits:
            animal.x, animal.y = min(
                exits, key=lambda e: abs(e[0] - animal.x) + abs(e[1] - animal.y)
            )

    def _decide(self, animal: _Animal) -> None:
        """Choose what an animal does next."""
        rng, box = self.rng, animal.box
        animal.rearing = 0.0
        if box is not None and _is_inside(animal, box):
            if animal.mode == ENTER:
                animal.start(REST, rng.uniform(2, 9), 0.0)
            else:
                animal.start(LEAVE, 5.0, 120.0, _as_place(box.doorstep))
            return
        animal.box = None
        if animal.mode == APPROACH_BOX and animal.clock > 0:
            # The doorstep is reached: now through the mouth.
            animal.box = min(self.boxes, key=lambda b: math.dist(b.doorstep, (animal.x, animal.y)))
            animal.start(ENTER, 5.0, 110.0, _as_place(animal.box.inside))
        elif animal.mode not in (REST, LEAVE) and rng.random() < 0.6:
            self._rest(animal)
        else:
            self._set_out(animal)

    def _rest(self, animal: _Animal) -> None:
        if self.rng.random() < 0.22:
            animal.rearing = self.rng.uniform(0.45, 1.0)
            animal.start(REST, self.rng.uniform(0.6, 2.0), 0.0)
        else:
            animal.start(REST, 0.3 + self.rng.exponential(1.6), 0.0)

    def _set_out(self, animal: _Animal) -> None:
        rng, boxes, what = self.rng, self.boxes, self.rng.random()
        pace, seconds = rng.uniform(70, 190), rng.uniform(1.5, 5.0)
        if boxes and what < 0.10:
            box = boxes[int(rng.integers(len(boxes)))]
            animal.start(APPROACH_BOX, 6.0, pace, _as_place(box.doorstep))
        elif what < 0.45 and len(self.animals) > 1:
            self._meet(animal, what, pace, seconds)
        elif what < 0.72:
            animal.start(WALK, seconds, pace, self._find_wall_goal(animal))
        else:
            x, y = rng.uniform(-1, 1, 2).tolist()
            animal.start(WALK, seconds, pace, (x * self.right, y * self.top))

    def _meet(self, animal: _Animal, what: float, pace: float, seconds: float) -> None:
        """Cross, approach or follow another animal that is not hidden."""
        others = [o for o in self.animals if o is not animal and o.box is None]
        if not others:
            self._rest(animal)
            return
        other = others[int(self.rng.integers(len(others)))]
        animal.partner = other
        away_x, away_y = other.x - animal.x, other.y - animal.y
        length = max(math.hypot(away_x, away_y), 1.0)
        if what < 0.20:
            beyond = self.rng.uniform(60, 130) / length
            x = max(-self.right, min(self.right, other.x + beyond * away_x))
            y = max(-self.top, min(self.top, other.y + beyond * away_y))
            animal.start(CROSS, length / 100 + 2, 1.3 * pace, (x, y))
        elif what < 0.32:
            short = 45 / length
            animal.start(WALK, seconds, pace, (other.x - short * away_x, other.y - short * away_y))
        else:
            animal.start(FOLLOW, seconds, 1.35 * pace)

    def _find_wall_goal(self, animal: _Animal) -> Place:
        """Find a point further along the nearest wall, round the corner if need be."""
        ahead = self.rng.uniform(90, 260)
        if abs(animal.x) / self.right > abs(animal.y) / self.top:
            y = animal.y + math.copysign(ahead, math.sin(animal.heading))
            over = max(0.0, abs(y) - self.top)
            x = math.copysign(self.right - min(over, 2 * self.right), animal.x)
            return x, math.copysign(min(abs(y), self.top), y)
        x = animal.x + math.copysign(ahead, math.cos(animal.heading))
        over = max(0.0, abs(x) - self.right)
        y = math.copysign(self.top - min(over, 2 * self.top), animal.y)
        return math.copysign(min(abs(x), self.right), x), y


def _push_apart(a: _Animal, b: _Animal) -> None:
    """Push apart bodies that overlap, unless one is about to climb over the other."""
    climbing = (a.mode == CROSS and a.partner is b) or (b.mode == CROSS and b.partner is a)
    if climbing or a.box is not None or b.box is not None:
        return
    push_x = push_y = 0.0
    for end_a in (_FRONT, _BACK):
        for end_b in (_FRONT, _BACK):
            x = a.x - b.x + end_a * math.cos(a.heading) - end_b * math.cos(b.heading)
            y = a.y - b.y + end_a * math.sin(a.heading) - end_b * math.sin(b.heading)
            distance = max(math.hypot(x, y), 1e-6)
            if distance < _GIRTH:
                push_x += 0.25 * (_GIRTH - distance) * x / distance
                push_y += 0.25 * (_GIRTH - distance) * y / distance
    push_x, push_y = max(-_PUSH, min(_PUSH, push_x)), max(-_PUSH, min(_PUSH, push_y))
    a.x, a.y, b.x, b.y = a.x + push_x, a.y + push_y, b.x - push_x, b.y - push_y


def _is_inside(animal: _Animal, box: Box) -> bool:
    return box.low[0] < animal.x < box.high[0] and box.low[1] < animal.y < box.high[1]


def _as_place(point: Floats) -> Place:
    return float(point[0]), float(point[1])
