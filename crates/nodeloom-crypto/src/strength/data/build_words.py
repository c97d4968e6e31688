#!/usr/bin/env python3
"""Rebuilds words.txt, cyrillic.txt, hanzi.txt and passwords.txt.

Usage: build_words.py FOLDER, where FOLDER holds the unpacked packages named in
README.md beside this file and faker.json as printed by dump_faker.cjs.

Each source is a ranked list. A word scores the sum of weight / (rank + 40) over
its sources, so the merged order approximates how likely a person is to pick it.
"""
import collections
import glob
import json
import pathlib
import re
import sys
import unicodedata

HERE = pathlib.Path(__file__).resolve().parent
ROOT = pathlib.Path(sys.argv[1])
MAX_WORDS = 62_000
EXTRA = {"ß": "ss", "æ": "ae", "ø": "o", "œ": "oe", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i"}
CYRILLIC = dict(zip("абвгдежзийклмнопрстуфхцчшщъыьэюя", (
    "a b v g d e zh z i y k l m n o p r s t u f kh ts ch sh shch _ y _ e yu ya").split()))


def fold(word):
    """Lower case, accents removed; an empty string where anything but a-z remains."""
    word = "".join(EXTRA.get(c, c) for c in word.lower())
    word = "".join(c for c in unicodedata.normalize("NFD", word) if not unicodedata.combining(c))
    return word if re.fullmatch("[a-z]+", word) else ""


def german(word):
    """The spelling without umlauts that German speakers type."""
    return fold(word.lower().translate(str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue"})))


def translit(word):
    """A common romanisation of a Cyrillic word."""
    return "".join(CYRILLIC.get(c, c) for c in word).replace("_", "")


def read(pattern):
    """The JSON list of the one file that matches."""
    found = glob.glob(str(ROOT / pattern))
    assert len(found) == 1, (pattern, found)
    return json.loads(pathlib.Path(found[0]).read_text())


# One letter for each group of languages; a word carries those it occurs in.
GROUPS = {g: chr(65 + i) for i, g in enumerate("en de fr es it pt nl sl ru zh ja tr no fi xx".split())}
GROUP_OF = {"es-es": "es", "pt-br": "pt", "nl-be": "nl", "pl": "sl", "cs": "sl", "sk": "sl", "hr": "sl", "sv": "no", "da": "no",
            "nb_NO": "no", "base": "en", "common": "en"}
score = collections.Counter()
groups = collections.defaultdict(dict)
cyrillic = collections.Counter()


def group(code):
    """The group of a language code or locale."""
    code = code.removesuffix("-*")
    code = GROUP_OF.get(code, code[:2])
    return GROUPS[GROUP_OF.get(code, code)] if GROUP_OF.get(code, code) in GROUPS else GROUPS["xx"]


def add(words, weight, limit=10**9, spell=fold, code="en"):
    """Scores the first `limit` words of a ranked list in the language `code`."""
    seen = set()
    for word in words:
        folded = spell(word)
        if not 2 <= len(folded) <= 22 or folded in seen:
            continue
        if len(folded) == 2 and len(seen) > 60:
            continue
        seen.add(folded)
        points = weight / (len(seen) + 40)
        score[folded] += points
        by_group = groups[folded]
        by_group[group(code)] = by_group.get(group(code), 0) + points
        if len(seen) >= limit:
            break


def split_all(strings):
    """The letter runs of free text."""
    return [w for s in strings for w in re.findall(r"[^\W\d_]+", s)]


own = []
for line in (HERE / "own.txt").read_text().splitlines():
    code, *words = line.split()
    own += words
    add(words, 12 if code == "@en" else 3, code=code[1:])
ts = "zxcvbn-ts-language-{}/package/src/{}.json"
add([re.sub("[0-9!.]+$", "", w) for w in read(ts.format("common-*", "passwords"))], 1.5, 16_000)
add(read(ts.format("common-*", "diceware")), 0.8)
add(read(ts.format("en-*", "wikipedia")), 3, 20_000)
add(read(ts.format("en-*", "commonWords")), 3, 20_000)
add(read(ts.format("en-*", "firstnames")), 0.8)
add(read(ts.format("en-*", "lastnames")), 0.5, 4_000)
for code, common, wiki, weight in [
    ("de", 9_000, 7_000, 1.5), ("fr", 8_000, 5_000, 1.5), ("es-es", 8_000, 5_000, 1.5), ("it", 7_000, 4_000, 1.2),
    ("pt-br", 7_000, 4_000, 1.2), ("nl-be", 7_000, 4_000, 1.2), ("pl", 6_000, 3_000, 1.0), ("cs", 4_000, 2_000, 0.8),
    ("fi", 4_000, 2_000, 0.8), ("id", 4_000, 2_000, 0.8), ("ja", 900, 5_000, 0.8),
]:
    for spell in [fold, german] if code == "de" else [fold]:
        add(read(ts.format(code + "-*", "commonWords")), weight, common, spell, code)
        add(read(ts.format(code + "-*", "wikipedia")), weight * 0.6, wiki, spell, code)
for path in sorted(glob.glob(str(ROOT / "zxcvbn-ts-language-*/package/src/*ames.json"))):
    if "language-en" not in path:
        code = re.search("language-([a-z-]+)-[0-9]", path).group(1)
        add(json.loads(pathlib.Path(path).read_text()), 0.3, 700, code=code)
for path in sorted(glob.glob(str(ROOT / "bip39-*/package/src/wordlists/*.json"))):
    code = {"czech": "cs", "spanish": "es", "portuguese": "pt"}.get(pathlib.Path(path).stem, pathlib.Path(path).stem[:2])
    add(json.loads(pathlib.Path(path).read_text()), 0.8, code=code)
stop = read("stopwords-iso-*/package/stopwords-iso.json")
for code in ["tr", "sv", "no", "da", "hu", "ro", "vi", "hr", "sk", "lt", "lv", "et", "ca", "af", "sw", "tl", "ms", "sl", "eu", "ga", "la"]:
    add(sorted(stop.get(code, []), key=lambda w: (len(w) < 3, len(w))), 0.5, 400, code=code)
faker = json.loads((ROOT / "faker.json").read_text())
for name, leaves in sorted(faker.items()):
    words = [w for w, _ in collections.Counter(w.lower() for w in split_all(leaves)).most_common()]
    add(words, 0.6 if name in ("en", "base") else 0.25, 9_000 if name == "en" else 1_500, code=name)

for words, weight in [((HERE / "own_cyrillic.txt").read_text().split(), 8), (sorted(stop["ru"], key=len), 2), (sorted(stop["uk"], key=len), 0.5),
                      (sorted(stop["bg"], key=len), 0.5), (split_all(faker["ru"]), 1), (split_all(faker["uk"]), 0.3)]:
    seen = {}
    for word in words:
        word = word.lower().replace("ё", "е")
        if re.fullmatch("[а-я]{2,22}", word) and word not in seen:
            seen[word] = 1
            cyrillic[word] += weight / (len(seen) + 40)
cyrillic_words = [w for w, _ in sorted(cyrillic.items(), key=lambda p: (-p[1], p[0]))][:5_000]
add([translit(w) for w in cyrillic_words], 0.8, code="ru")



def tags(word):
    """The groups that give the word at least a tenth of its best score."""
    own = groups[word]
    return "".join(sorted(g for g, points in own.items() if points * 10 >= max(own.values())))


ranked = sorted(score.items(), key=lambda p: (-p[1], p[0]))[:MAX_WORDS]
(HERE / "words.txt").write_text("\n".join(w + tags(w) for w, _ in ranked) + "\n")
(HERE / "cyrillic.txt").write_text("\n".join(cyrillic_words) + "\n")

hanzi = collections.Counter()
for rank, character in enumerate(read("bip39-*/package/src/wordlists/chinese_simplified.json")):
    hanzi[character] = 1 / (rank + 40)
for name in ["zh_CN", "zh_TW", "ja"]:
    for character, count in collections.Counter("".join(faker.get(name, []))).items():
        if "一" <= character <= "鿿":
            hanzi[character] += min(count, 20) / 4000
for character in (HERE / "own_hanzi.txt").read_text().split():
    hanzi[character] += 1 / 40
(HERE / "hanzi.txt").write_text("".join(c for c, _ in hanzi.most_common(2_500)) + "\n")

passwords = []
for word in read(ts.format("common-*", "passwords")):
    if word.isascii() and word.isprintable() and " " not in word:
        passwords.append(word)
merged = list(dict.fromkeys(passwords[:5_000] + own + [w for w, _ in ranked[:3_000]] + passwords[5_000:7_000]))
(HERE / "passwords.txt").write_text("\n".join(merged) + "\n")
for name in ["words", "cyrillic", "hanzi", "passwords"]:
    print(name, (HERE / f"{name}.txt").stat().st_size)
