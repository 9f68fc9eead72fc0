"""Who gives way when all places are taken: pure."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from cnctwin.places import Path, gives_way, holds_most

PATHS = st.tuples(st.sampled_from("abc"), st.sampled_from("xyz"), st.sampled_from("123"))


def test_who_has_most_gives_way_and_of_his_places_those_where_he_has_most() -> None:
    held: list[Path] = [("alice", "A"), ("alice", "A"), ("alice", "B"), ("bob", "C"), ("bob", "C")]
    assert gives_way(("carol", "D"), held) == ("alice", "A")
    assert gives_way(("alice", "D"), held) == ("alice", "A"), "her own, of the address that has more"
    assert gives_way(("alice", "B"), held) is None
    assert gives_way(("bob", "C"), held) is None, "they would have as many in turns"


def test_many_addresses_of_one_user_are_one_holder() -> None:
    held: list[Path] = [("mallory", f"address {number}") for number in range(50)] + [("bob", "B")] * 3
    whose = gives_way(("bob", "B"), held)
    assert whose is not None
    assert whose[0] == "mallory"


def test_nobody_gives_way_where_nobody_holds_anything() -> None:
    assert gives_way(("a", "x"), []) is None


@given(asks=PATHS, held=st.lists(PATHS, max_size=40))
def test_who_gives_way_has_as_many_as_who_asks_afterwards(asks: Path, held: list[Path]) -> None:
    whose = gives_way(asks, held)
    if whose is None:
        return
    assert whose in held
    after = [*held, asks]
    after.remove(whose)
    depth = next(depth for depth in range(3) if asks[depth] != whose[depth])
    counts = Counter(path[: depth + 1] for path in after)
    assert counts[whose[: depth + 1]] >= counts[asks[: depth + 1]]
    assert gives_way(whose, after) != asks, "they do not take from each other in turns"


@given(held=st.lists(PATHS, min_size=1, max_size=40), asks=st.lists(PATHS, min_size=1, max_size=200))
def test_whoever_asks_in_whatever_order_it_comes_to_an_end(held: list[Path], asks: list[Path]) -> None:
    """Displaced holders that ask again at once are refused after a bounded number of turns."""
    waiting, turns = list(asks), 0
    while waiting:
        turns += 1
        assert turns < 10_000
        one = waiting.pop()
        if (whose := gives_way(one, held)) is not None:
            held = [*held, one]
            held.remove(whose)
            waiting.append(whose)


@given(held=st.lists(PATHS, min_size=1, max_size=40))
def test_who_holds_most_does(held: list[Path]) -> None:
    whose = holds_most(held)
    users = Counter(path[0] for path in held)
    assert users[whose[0]] == max(users.values())
    assert whose in held
