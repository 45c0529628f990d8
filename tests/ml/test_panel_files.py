"""Large files of a month are divided together, and a small one disturbs no group."""

from ml.panel_files import ALONE_BYTES, TOGETHER_BYTES, together

LARGE = ALONE_BYTES


def test_large_files_of_a_month_are_one_group_and_small_ones_stand_alone() -> None:
    sizes = {"a/2": LARGE, "a/1": LARGE, "a/3": LARGE - 1, "b/1": LARGE, "late": 1}
    assert together(sizes) == [("a/3",), ("late",), ("a/1", "a/2"), ("b/1",)]
    assert together({}) == []


def test_a_month_is_cut_where_it_is_too_much_for_one_group() -> None:
    sizes = {f"a/{place:02}": TOGETHER_BYTES // 4 for place in range(17)}
    groups = together(sizes)
    assert [name for group in groups for name in group] == sorted(sizes)
    assert 4 <= len(groups) <= 5
    assert max(sum(sizes[name] for name in group) for group in groups) <= TOGETHER_BYTES
    assert together({"a/1": 3 * TOGETHER_BYTES, "a/2": LARGE}) == [("a/1", "a/2")]


def test_a_small_file_leaves_all_groups_as_they_were() -> None:
    sizes = {f"a/{place:02}": TOGETHER_BYTES // 3 for place in range(7)}
    before = together(sizes)
    for late in ("a/00-", "a/035", "a/9", "z/1"):
        assert together(sizes | {late: 1}) == [(late,), *before]
