"""English words to phonemes, and phonemes to targets of the formant synthesiser.

A small lexicon holds the irregular words; everything else follows letter-to-sound rules.
"""

from __future__ import annotations

import re

# Vowels: seconds, formants 1-3 in Hz (Peterson & Barney, men), mouth opening and rounding 0..1.
_VOWELS = {
    "IY": (0.10, 270, 2290, 3010, 0.25, 0.0),
    "IH": (0.075, 390, 1990, 2550, 0.35, 0.0),
    "EH": (0.085, 530, 1840, 2480, 0.55, 0.0),
    "AE": (0.11, 660, 1720, 2410, 0.8, 0.0),
    "AH": (0.08, 640, 1190, 2390, 0.6, 0.0),
    "AA": (0.11, 730, 1090, 2440, 0.95, 0.1),
    "AO": (0.11, 570, 840, 2410, 0.75, 0.6),
    "UH": (0.08, 440, 1020, 2240, 0.35, 0.7),
    "UW": (0.10, 300, 870, 2240, 0.25, 1.0),
    "ER": (0.10, 490, 1350, 1690, 0.4, 0.3),
    "AX": (0.05, 500, 1500, 2500, 0.35, 0.0),
}
_GLIDES = {"EY": ("EH", "IY"), "AY": ("AA", "IH"), "OW": ("AO", "UH"), "AW": ("AA", "UH"), "OY": ("AO", "IH")}
# Consonants: seconds, formants 1-3, voicing, breath noise, hiss, its centre and width in Hz, opening,
# rounding.
_CONSONANTS = {
    "M": (0.07, 280, 1000, 2200, 0.45, 0, 0, 1, 1, 0.0, 0.1),
    "N": (0.06, 280, 1500, 2400, 0.45, 0, 0, 1, 1, 0.15, 0.0),
    "NG": (0.07, 280, 1900, 2600, 0.45, 0, 0, 1, 1, 0.2, 0.0),
    "L": (0.06, 360, 1100, 2700, 0.6, 0, 0, 1, 1, 0.3, 0.0),
    "R": (0.06, 350, 1200, 1550, 0.6, 0, 0, 1, 1, 0.25, 0.4),
    "W": (0.06, 300, 700, 2200, 0.6, 0, 0, 1, 1, 0.15, 1.0),
    "Y": (0.05, 280, 2200, 2900, 0.6, 0, 0, 1, 1, 0.2, 0.0),
    "V": (0.055, 300, 1200, 2300, 0.4, 0, 0.10, 5500, 3500, 0.08, 0.0),
    "Z": (0.075, 300, 1600, 2500, 0.35, 0, 0.30, 6200, 1500, 0.12, 0.0),
    "DH": (0.04, 300, 1400, 2500, 0.45, 0, 0.06, 5500, 3000, 0.2, 0.0),
    "ZH": (0.07, 300, 1700, 2400, 0.35, 0, 0.30, 3300, 1200, 0.2, 0.5),
    "S": (0.09, 320, 1600, 2500, 0, 0, 0.55, 6300, 1400, 0.12, 0.0),
    "SH": (0.09, 320, 1700, 2400, 0, 0, 0.60, 3300, 1200, 0.2, 0.5),
    "F": (0.08, 320, 1200, 2300, 0, 0, 0.18, 5500, 3500, 0.08, 0.0),
    "TH": (0.07, 320, 1400, 2500, 0, 0, 0.14, 5500, 3000, 0.2, 0.0),
    "HH": (0.05, 500, 1500, 2500, 0, 0.6, 0, 1, 1, 0.35, 0.0),
}
# Stops: closure voicing, burst centre and width in Hz, burst level, seconds of breath, formants 1-3,
# closed lips.
_STOPS = {
    "P": (0, 1000, 900, 0.25, 0.030, 300, 900, 2200, True),
    "B": (0.25, 800, 800, 0.20, 0, 250, 900, 2200, True),
    "T": (0, 4500, 1500, 0.40, 0.035, 300, 1700, 2600, False),
    "D": (0.25, 4000, 1500, 0.30, 0, 250, 1700, 2600, False),
    "K": (0, 2100, 700, 0.45, 0.040, 300, 1900, 2300, False),
    "G": (0.25, 2000, 700, 0.30, 0, 250, 1900, 2300, False),
}


def _table(text: str) -> dict[str, list[str]]:
    """ "letters:SOUND SOUND|letters:SOUND" -> letters to sounds."""
    pairs = (row.split(":") for row in text.strip().replace("\n", "|").split("|"))
    return {letters: sounds.split() for letters, sounds in pairs}


_LEXICON = _table(
    """
a:AX|i:AY|the:DH AX|to:T UW|of:AX V|you:Y UW|your:Y AO R|my:M AY|me:M IY|we:W IY|he:HH IY|she:SH IY
is:IH Z|was:W AA Z|are:AA R|were:W ER|they:DH EY|there:DH EH R|their:DH EH R|what:W AH T|who:HH UW
one:W AH N|two:T UW|four:F AO R|have:HH AE V|has:HH AE Z|said:S EH D|says:S EH Z|do:D UW|does:D AH Z
done:D AH N|did:D IH D|come:K AH M|came:K EY M|some:S AH M|love:L AH V|gone:G AO N|nothing:N AH TH IH NG
something:S AH M TH IH NG|everything:EH V R IY TH IH NG|everyone:EH V R IY W AH N|nobody:N OW B AA D IY
mother:M AH DH ER|father:F AA DH ER|sister:S IH S T ER|friend:F R EH N D|heart:HH AA R T|heard:HH ER D
again:AX G EH N|any:EH N IY|know:N OW|knew:N UW|now:N AW|how:HH AW|down:D AW N|house:HH AW S|out:AW T
our:AW ER|about:AX B AW T|found:F AW N D|blood:B L AH D|money:M AH N IY|job:JH AA B|baby:B EY B IY
girl:G ER L|moving:M UW V IH NG|move:M UW V|moved:M UW V D|believe:B IH L IY V|live:L IH V|alone:AX L OW N
lonely:L OW N L IY|only:OW N L IY|over:OW V ER|always:AO L W EY Z|all:AO L|call:K AO L|wall:W AO L
calm:K AA M|so:S OW|no:N OW|go:G OW|going:G OW IH NG|goodbye:G UH D B AY|good:G UH D|look:L UH K
looks:L UH K S|book:B UH K|took:T UH K|stood:S T UH D|foot:F UH T|footsteps:F UH T S T EH P S
floor:F L AO R|door:D AO R|wonderful:W AH N D ER F AX L|tomorrow:T AX M AA R OW|today:T AX D EY
been:B IH N|being:B IY IH NG|give:G IH V|evening:IY V N IH NG|ever:EH V ER|never:N EH V ER|every:EH V R IY
seven:S EH V AX N|enough:IH N AH F|listen:L IH S AX N|fool:F UW L|fire:F AY ER|scared:S K EH R D
afraid:AX F R EY D|dead:D EH D|head:HH EH D|already:AO L R EH D IY|ready:R EH D IY|bear:B EH R|wear:W EH R
wait:W EY T|weighs:W EY Z|eight:EY T|china:CH AY N AX|lottery:L AA T ER IY|june:JH UW N|sugar:SH UH G ER
sure:SH UH R|people:P IY P AX L|table:T EY B AX L|office:AO F IH S|station:S T EY SH AX N
operation:AA P ER EY SH AX N|river:R IH V ER|half:HH AE F|hour:AW ER|put:P UH T|full:F UH L|pull:P UH L
wash:W AA SH|washes:W AA SH IH Z|slimy:S L AY M IY|gross:G R OW S|rotten:R AA T AX N|toilet:T OY L IH T
filthy:F IH L TH IY|completely:K AX M P L IY T L IY|absolutely:AE B S AX L UW T L IY|birthday:B ER TH D EY
holiday:HH AA L IH D EY|excuses:IH K S K Y UW S IH Z
"""
)
# Letters -> sounds, longest match first.
_RULES = _table(
    """
tion:SH AX N|ough:AO|augh:AO|eigh:EY|tch:CH|igh:AY|dge:JH|sch:S K|ear:IH R|air:EH R|oor:AO R|our:AO R|are:EH R
ing:IH NG|ee:IY|ea:IY|ai:EY|ay:EY|oa:OW|ow:OW|ou:AW|oo:UW|oi:OY|oy:OY|au:AO|aw:AO|ew:UW|ie:IY|ei:EY|ue:UW
ui:UW|ey:IY|er:ER|ir:ER|ur:ER|ar:AA R|or:AO R|th:TH|sh:SH|ch:CH|ph:F|wh:W|ck:K|ng:NG|qu:K W|kn:N|wr:R|gg:G
ss:S|ll:L|tt:T|pp:P|bb:B|dd:D|ff:F|mm:M|nn:N|rr:R|zz:Z|a:AE|b:B|c:K|d:D|e:EH|f:F|g:G|h:HH|i:IH|j:JH|k:K
l:L|m:M|n:N|o:AA|p:P|q:K|r:R|s:S|t:T|u:AH|v:V|w:W|x:K S|y:IY|z:Z
"""
)
_LONG = {"a": "EY", "i": "AY", "o": "OW", "u": "UW", "e": "IY", "y": "AY"}
_UNSTRESSED = set(
    "a an the to of is was are were and in on at my your he she it we they i you do not that this for be as "
    "his her our with by so us me had has have will been".split()
)


def phonemes(word: str) -> list[str]:
    """Phonemes (ARPAbet without stress marks) of one English word, by exceptions and letter rules.

    >>> phonemes("cats")
    ['K', 'AE', 'T', 'S']
    """
    word = re.sub(r"[^a-z]", "", word.lower())
    if word in _LEXICON:
        return list(_LEXICON[word])
    out: list[str] = []
    at = 0
    while at < len(word):
        rest = word[at:]
        if rest == "e" and len(word) > 2:  # a final e is silent
            break
        if rest == "ed" and len(word) > 3 and word[at - 1] not in "td":
            out.append("D")
            break
        long_vowel = re.match(r"[aiouey][bcdfgklmnpstvz](e|es|ed|ing)$", rest)
        if long_vowel and len(word) > 2 and (at == 0 or word[at - 1] not in "aeiou"):
            out.append(_LONG[rest[0]])
            at += 1
        elif rest[0] == "c" and rest[1:2] in ("e", "i", "y"):
            out.append("S")
            at += 1
        elif rest == "y" and len(word) <= 3:
            out.append("AY")
            at += 1
        else:
            size = next(n for n in (4, 3, 2, 1) if rest[:n] in _RULES)
            out.extend(_RULES[rest[:size]])
            at += size
    return out


def segments(words: str) -> list[tuple]:
    """(seconds, f1, f2, f3, voicing, breath, hiss, centre, width, opening, rounding, stress, word)."""
    rows: list[tuple] = []
    tokens = re.findall(r"[A-Za-z']+|[,.;:!?]", words)
    for number, token in enumerate(tokens):
        if not token[0].isalpha():
            if number < len(tokens) - 1:
                rows.append((0.12, 500, 1500, 2500, 0, 0, 0, 1, 1, 0.05, 0.0, 0.0, number))
            continue
        stressed = token.lower() not in _UNSTRESSED
        for sound in phonemes(token):
            if sound in ("CH", "JH"):
                sounds = [("T" if sound == "CH" else "D"), ("SH" if sound == "CH" else "ZH")]
            else:
                sounds = list(_GLIDES.get(sound, (sound,)))
            for part in sounds:
                if part in _VOWELS:
                    seconds, f1, f2, f3, opening, rounding = _VOWELS[part]
                    stress = 1.0 if stressed and part != "AX" else 0.3
                    seconds *= (0.62 if len(sounds) == 2 else 1.0) * (1.25 if stress == 1.0 else 0.85)
                    rows.append(
                        (
                            seconds,
                            f1,
                            f2,
                            f3,
                            0.75 + 0.25 * stress,
                            0,
                            0,
                            1,
                            1,
                            opening,
                            rounding,
                            stress,
                            number,
                        )
                    )
                    stressed = False  # the first vowel of a content word carries its accent
                elif part in _STOPS:
                    voiced, centre, width, level, breath, f1, f2, f3, lips = _STOPS[part]
                    mouth = 0.0 if lips else 0.15
                    rows.append((0.05, f1, f2, f3, voiced, 0, 0, centre, width, mouth, 0.0, 0.0, number))
                    rows.append((0.012, f1, f2, f3, 0, 0, level, centre, width, mouth, 0.0, 0.0, number))
                    if breath:
                        rows.append((breath, 450, f2, f3, 0, 0.35, 0, centre, width, 0.25, 0.0, 0.0, number))
                else:
                    rows.append(_CONSONANTS[part] + (0.0, number))
    return rows
