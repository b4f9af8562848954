"""What is said of a mistake."""

import pytest

from experiments.config.mistakes import nearest, one_line, spans


def test_a_line_is_whole_up_to_its_length_and_says_where_it_was_cut_off() -> None:
    assert one_line("a  b\n\tc") == "a b c"
    assert one_line("x" * 1000) == "x" * 1000
    assert one_line("x" * 1001) == "x" * 1000 + " ..."
    assert one_line("12345", 4) == "1234 ..."


@pytest.mark.parametrize(
    ("valid", "hint"),
    [
        (["abxy", "wxyz"], "; did you mean 'abxy'?"),  # half of the letters are the same
        (["abcx", "abxy", "abcd"], "; did you mean 'abcd'?"),  # the nearest of several
        (["wxyz", "axyz"], "; valid are axyz, wxyz"),
        ([], ""),
    ],
    ids=str,
)
def test_the_nearest_word_is_proposed_or_all_of_them(valid: list[str], hint: str) -> None:
    assert nearest("abcd", valid) == hint


@pytest.mark.parametrize(("numbers", "words"), [((1, 2, 3, 7, 9, 8), "1 to 3, 7 to 9"), ((5,), "5")])
def test_consecutive_numbers_are_joined(numbers: tuple[int, ...], words: str) -> None:
    assert spans(numbers) == words
