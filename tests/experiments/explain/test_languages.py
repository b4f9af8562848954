"""English and Korean: the same numbers and units, one Korean word for a term, polite sentences, particles."""

import re
import tomllib
from collections.abc import Iterator
from html.parser import HTMLParser

import pytest

from experiments.pages.explain_page import HERE
from tests.experiments.explain.page import DOCS

PAGE = (DOCS / "explain.html").read_text(encoding="utf-8")
KOREAN_README = (DOCS.parent / "README.ko.md").read_text(encoding="utf-8")

# What a Korean text calls a term (a regular expression), wherever the English has it.
TERMS = {
    "bit": "비트",
    "nat": "내트",
    "information": "정보량",
    "surprise|surprising": "놀라|놀란|놀랄",
    "entropy|entropies": "엔트로피",
    "cross entropy": "교차 엔트로피",
    "KL divergence": "KL 발산",
    "log likelihood ratio": "로그 우도비",
    "likelihood ratio": "우도비",
    "probability|probabilities": "확률",
    "sample": "표본",
    "policy|policies": "정책",
    "softmax": "소프트맥스",
    "logit": "로짓",
    "uniform": "균등",
    "one-hot": "원-핫",
    "code": "코드",
    "loss": "손실",
    "coefficient": "계수",
    "gradient": "경사|기울기",
    "explor(?:ing|ation)": "탐색",
    "reward": "보상",
    "return": "수익",
    "baseline": "베이스라인",
    "learning rate": "학습률",
    "bandit": "밴딧",
    "seed": "시드",
    "stuck": "갇",
    "verdict": "판정",
}

# Which particle follows depends on whether the sound before it ends in a consonant.
AFTER_CONSONANT, AFTER_VOWEL = {"은", "을", "이", "과", "으로", "이라고"}, {"는", "를", "가", "와", "로", "라고"}
GLOSS = re.compile(r"(?<=[가-힣\]])\([^)]*\)")  # 계수(0.03)를 is read 계수를
PARTICLE = re.compile(r"(ng|[0-9A-Za-z])[)}*\]]*(은|는|을|를|이|가|과|와|으로|로|이라고|라고)(?=[\s,.;:]|$)")
CONSONANT, LIQUID = (
    {*"013678LMNRlmnr", "ng"},
    {*"178LRlr"},
)  # as they are read: 영, 일, 삼, 육, 칠, 팔, 엘, 엠, 엔, 알


class Elements(HTMLParser):
    """The elements of a page that have a language: language and text, in their order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []
        self._open: list[str] = []  # the tags from the one with the language on
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        language = dict(attrs).get("lang")
        if not self._open and tag not in ("html", "button") and language:
            self.found.append((language, ""))
            self._open = [tag]
        elif self._open:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._open:
            assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open:
            language, text = self.found[-1]
            self.found[-1] = (language, text + data)


def pairs() -> list[tuple[str, str]]:
    """English and Korean of every element of the page, and of the words of its figures."""
    found = Elements(PAGE).found
    assert [language for language, _ in found] == ["en", "ko"] * (len(found) // 2)
    texts = [" ".join(text.replace("\N{WORD JOINER}", "").split()) for _, text in found]
    words = tomllib.loads((HERE / "words.toml").read_text(encoding="utf-8"))
    return [*zip(texts[::2], texts[1::2], strict=True), *map(tuple, words.values())]


PAIRS = pairs()


def korean_sentences() -> Iterator[str]:
    """Those of the page, of its figures and of the Korean README; not the labels, which are no sentences."""
    prose = [text for text in KOREAN_README.split("\n\n") if not text.startswith(("#", "|", "```"))]
    for text in [korean for _, korean in PAIRS] + prose:
        yield from re.findall(r"[^.?!]*[가-힣][)*\]]*[.?!](?=\s|$)", text)


def numbers_in(text: str) -> list[str]:
    """Numbers of more than one digit; smaller ones may be words in one of the languages."""
    return sorted(re.findall(r"\d*\.\d+|\d{2,}", text.replace(",", " ")))


def has(term: str, english: str) -> bool:
    return bool(re.search(rf"\b(?:{term})s?\b", english, re.IGNORECASE))


def misplaced(text: str) -> list[str]:
    """The particles that do not fit the number or the letter before them."""
    faults = []
    text = GLOSS.sub("", text)
    for match in PARTICLE.finditer(text):
        sound, particle = match.groups()
        ends_in_consonant = sound in CONSONANT and not (particle in ("로", "으로") and sound in LIQUID)
        if particle not in (AFTER_CONSONANT if ends_in_consonant else AFTER_VOWEL):
            faults.append(text[max(0, match.start() - 20) : match.end()])
    return faults


def test_the_page_has_both_languages() -> None:
    assert len(PAIRS) > 150
    assert sum(1 for _ in korean_sentences()) > 100


@pytest.mark.parametrize(("english", "korean"), PAIRS)
def test_numbers_are_the_same(english: str, korean: str) -> None:
    assert numbers_in(korean) == numbers_in(english)


@pytest.mark.parametrize(("english", "korean"), PAIRS)
def test_a_term_has_one_korean_word(english: str, korean: str) -> None:
    prose = re.sub("An introduction to entropy, .* machine learning|from agents.information import", "", english)
    missing = [term for term, word in TERMS.items() if has(term, prose) and not re.search(word, korean)]
    assert missing == []


@pytest.mark.parametrize("unit", ["bit", "nat"])
def test_units_are_the_same(unit: str) -> None:
    for english, korean in PAIRS:
        assert has(unit, english) == (TERMS[unit] in korean), (english, korean)


def test_korean_sentences_have_one_level_of_politeness() -> None:
    for sentence in korean_sentences():
        assert re.search(r"(니다|[십봅합]시[오다]|까요)(\([^)]*\))?[.?!]$", sentence), sentence


def test_particles_fit_what_is_before_them() -> None:
    for text in [*(korean for _, korean in PAIRS), KOREAN_README]:
        assert misplaced(text) == []


@pytest.mark.parametrize(
    "wrong",
    ["계수 0.03는 작습니다", "0.61으로 적었습니다", "p을 봅시다", "KL(b‖a)은 큽니다", "0.025이라고 합시다"],
)
def test_a_wrong_particle_would_be_found(wrong: str) -> None:
    assert misplaced(wrong)


def test_no_line_breaks_between_a_bracket_and_the_particle_after_it() -> None:
    assert not re.findall(r"[)}][가-힣]", "\n".join(text for _, text in Elements(PAGE).found))
