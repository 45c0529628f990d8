"""JSON values with something in them changed, left out or put in, by a seeded chance."""

import string
from random import Random
from typing import Any

from tests.apps.collector.mangled import ODD


class Odd:
    """Makes them by the chance of whoever asks."""

    def __init__(self, random: Random) -> None:
        self.random = random

    def mangled(self, value: Any) -> Any:
        """The value with one to three things in it changed, left out or put in."""
        for _ in range(self.random.randrange(1, 4)):
            value = self._once(value)
        return value

    def _once(self, value: Any) -> Any:
        if isinstance(value, dict) and value and self.likely():
            name = self.random.choice(list(value))
            rest = {key: each for key, each in value.items() if key != name}
            choice = self.random.random()
            if choice < 0.15:
                return rest
            if choice < 0.25:
                return value | {self.text(): self.random.choice(ODD)}
            return value | {name: self._once(value[name])}
        if isinstance(value, list) and value and self.likely():
            at = self.random.randrange(len(value))
            return [*value[:at], self._once(value[at]), *value[at + self.random.randrange(2) :]]
        return self.random.choice(ODD)

    def value(self, value: Any) -> Any:
        """The value, or now and then another one."""
        return value if self.likely() else self.random.choice(ODD)

    def text(self) -> str:
        """A word that no name is like."""
        odd = [text for text in ODD if isinstance(text, str)]
        word = "".join(self.random.choices(string.printable + "Şİ€", k=self.random.randrange(1, 12)))
        return self.random.choice([*odd, word, "a/b", "%2F", "P0003 ", "x" * 300])

    def likely(self) -> bool:
        """True seven times of ten."""
        return self.random.random() < 0.7
