"""What the rules know of Chinese: clauses, negation, whose emotion it is, what is unreal or past, conclusions.

Pure functions over a sentence as `words.chinese.simplify` gives it (commas and colons are ASCII) and the place of an
emotion word in it. `masked` sentences have "#" for every letter of an emotion word, so that 不满 denies nothing.
"""

from __future__ import annotations

import re
from functools import lru_cache

QUOTES = re.compile("“([^”]{0,600})”|「([^」]{0,600})」|『([^』]{0,600})』|‘([^’]{0,600})’|”([^”“]{0,200})“|"
                    "(?<![A-Za-z0-9])\"([^\"\\n]{0,600})\"|《([^》]{0,100})》")
SENTENCE = re.compile(r"(?<=[。!?;])[”\"')」』]*\s*|\n+|(?<=\.)\s+|(?<=[\u3400-\u9fff])\.(?!\d)")
LONGEST_SENTENCE = 400
"""Characters; a longer one is read in pieces, which keeps the patterns below quick on any text."""
REACH = 60
"""Characters before an emotion in which a denial, a pretence or a wish may stand."""
_CLAUSE = re.compile("[,:(),—]+|\\.\\.\\.|(?:但是?|不过|然而|可是|而是|只是|反而|反倒|却|"
                     "同时|其实|实则|实际上|事实上)")

_CONCLUSION = re.compile("因此|所以|因而|由此|综上|综合(?:来看|以上|上述|所有|起来|考虑|分析)|总之|总的来[说看]|总体(?:来看|来说|上|而言)|"
                         "整体(?:来看|来说|上|而言)|推测|推断|判断(?!力)|推论|得出|结论|可以(?:看出|认为|感受|得知|说)|可见|"
                         "最终(?:情绪|判断|答案)")

# What may stand between a denial and the emotion that it denies.
_BETWEEN = (r"(?:#+|\s|[、和与或及]|以及|或者|还是|任何|一丝|一点|丝毫|半点|些许|什么|明显|强烈|过多|太多|多少|多么|过度|过分|十分|非常|特别|"
            r"太过?|很|那么|这么|这样|怎么|真正?|真的|再|显得|显露出?|显示出?|表现[出得]?|流露出?|透露出?|展现出?|带有?|感到|感觉到?|感受到|"
            r"觉得|有|出现|看出|看到|产生|存在|包含|属于|处于|陷入|因此|因为?[^,。]{0,10}?而|为[^,。]{1,8}?而|由于|对[^,。]{1,8}?(?:的|感到)|"
            r"变得|特别的?|单纯|仅仅|只|让[他她](?:们|感到)?|使[他她](?:们|感到)?|被|受到?|他|她|他的|她的|情绪|情感|心情|是|出|到|过|的|地|得|"
            r"成分|意思|迹象|低沉|其他|其它|负面|正面|消极|积极)*")
_DENIAL = re.compile(
    r"(?:(?:并|从来?|绝|毫|丝毫|完全|根本|全然|也|都|还)?(?:不再是?|不会|不曾|不带|不含|不感到|不觉得|不显得|不表现|不存在|不是|不算|"
    r"不属于|不必|不用|不要|不需要|不能|不可能|没有|没|未曾|未必|未|并非|非|不|无需|无须|无法|难以)|毫无|全无|了无|无(?!#)|缺乏|缺少|"
    r"而不是|而非|绝非|远非|看不出|听不出|看不到|见不到|感受不到|感觉不到|察觉不到|谈不上|算不上|称不上|说不上|排除|别|甭|勿|免于|摆脱|停止)"
    + _BETWEEN + r"$")
_NO_DENIAL = re.compile(
    r"不得不|不禁|不由[得自]?主?|忍不住|不自觉|不可[自抑]?[抑制]*|"
    r"(?:掩|藏|遮|瞒|盖|饰|抑|压|控|制|按|捺|克|隐|止|憋|忍|收|收敛)[^,。#]{0,2}不[住了]|"
    r"(?:难|不|未|没|没有|难以|无法|无从|未能|不能|毫不|从不|不加|丝毫不|并未|并没有|毫无)(?:掩饰|掩盖|掩藏|掩|隐藏|隐瞒|遮掩|抑制|压抑|压制|控制|"
    r"克制|按捺|遏制|遏止|避讳|吝啬|自已|平复|平息|抗拒|摆脱|排解|释怀|停止|放下|忘记|忘怀|缓解)[^,。]{0,6}|难掩|"
    r"不仅仅?|不但|不只是?|不光是?|不止是?|不单|无[不非]|不无|不失|不难[看发感听推想]|无疑|毫无疑问|不可否认|情不自禁|不[停断时住过已堪同少料巧久幸良错]|没想到|没料到|"
    r"说不[出定]|不小心|不知[道为]?|不约而同|不知不觉|对不起|差不多|不[管论]|无[论比端缘意]|非常|非[得要]|除非|莫非|未免|未来|不明|不公[平正]?|"
    r"不[礼合]|不好(?!奇)|没[人谁]|无人|不利|不当|不足|不仅|不妨|不愧|并无二致|从未如此|从没这么|从来没有这么|不能更|再也?[^,。]{0,2}不过")
_UNDERSTATED = re.compile(r"(?:不太|不怎么|不大|不是很|不是太|不是特别|不够|不甚|没那么|没有那么|不那么|并不(?:怎么|是很|太)?)"
                          r"(?:感到|觉得|显得)?$")
_DENIED_AFTER = re.compile(r"(?:不起来|不下去|不了|全无|无存|(?:的[^,。]{0,3})?(?:也|都)?(?:谈不上|不存在)|(?:少于|不如|小于))")
_RATHER_AFTER = re.compile("[^,。#]{0,4},?(?:还|倒)?不如说")
_DONE = re.compile("(?:被|遭到?|遭受|受到?|挨|受尽)(?:人们?|别人|他人|对方|众人|大家|[^,。#]{1,4}(?:的|所))?$")
_SMALLER = re.compile(r"(?:的成分)?(?:多于|大于|胜过|甚于|超过|压过)[^,。]{0,3}$")
_RATHER = re.compile(r"(?:与其说|比起|相比(?:起|于)?|相较于?|(?<![对相无])比(?!较))(?:他|她|是|说|因为|出于|感到|显得|的|#|、|和|很|在)*$")

_PRETENDED = re.compile(r"(?:假装|装作|装出|装得|装成|佯装|佯作|佯|故作|假意|假惺惺地?|伪装[成出]?|强装|强作|假扮|做作地?|貌似|模仿|扮演)"
                        r"[^,。#]{0,8}$")
_PRETENCE_AFTER = re.compile(r"(?:的[^,。]{0,3})?(?:样子)?(?:只是|都是|不过是)?(?:装|假|伪)(?:的|出来|象|相|装)")
_OUTWARD = re.compile(r"(?:看似|表面上?|外表|乍看|乍一看|嘴上|脸上|面上)[^,。]{0,8}$")
_SEEMING = re.compile(r"(?:看起来|看上去|似乎|好像|显得|表现得)[^,。]{0,6}$")
_INWARD = re.compile(r"其实|实则|实际上?|事实上|内心|心里|心中|心底|骨子里|暗地里|背后|真正|真实|却|但")
_REALLY = re.compile(r"其实|实则|实际上|事实上|真正(?:的|是)|真实(?:的|情)")
_ASKED = re.compile(r"是否|有没有|会不会|是不是|能否|可否|能不能|难道|究竟|为何|为什么|多么?[^,。]{0,2}才")
_UNDECIDED = re.compile(r"(?:无法|难以|不能|不好|很难|没法|不足以|没有办法|不可能|无从|尚不|还不)(?:准确|明确|完全|直接|进一步|仅凭|就此|轻易|简单|清楚|确切)?地?"
                        r"(?:判断|确定|推断|看出|得知|断定|辨别|识别|确认|得出|分辨|说|认定|推测|知道|区分|清楚)|不确定[^,。]{0,4}(?:是|否)"
                        r"|(?:不|未必|不一定|并非)(?:意味着|代表|表示|等于|说明|是说|表明)")
_CONDITION = re.compile(r"如果(?!说)|要是|假如|倘若|假使|若(?!有所|无其|干|即若离)|假设|万一|一旦|除非|要不是|否则|换作|换成|本来可以|本可以|本该|原本可以|"
                        r"(?:的话$)|任何人|换了别人|换谁|谁[^,。]{0,12}都|人人都|每个人都|大家都会|即使|即便|哪怕|就算|假定|倘使")
_OWN_CLAUSE_ONLY = re.compile("即使|即便|哪怕|就算")
_OBSERVING = re.compile("观察|结合|仔细|考虑|综合|根据|分析|注意|留意|来看|看他|看她|只看|仅看|听")
_TURN = re.compile(r"^[^,。]{0,3}却|^(?:但|不过|然而|而|可是?|却|其实|事实上|实际上|现在|目前|如今|此刻|眼下|今天|所以|因此)")
_WISHED = re.compile(r"(?:希望|盼望|期望|祝愿?|祈愿|但愿|愿(?!意)|想要?(?!到|起|念|象|法|着)|渴望|试图|努力|尽量|想让|为了|以便|企图|打算|应当|需要|鼓励|劝说?|请求|"
                     r"要求|提醒|保证|避免|防止|以免|免得|试着|学会|学着|恳求|建议|告诉[^,。]{1,4}要?)(?![、和与及或且并])[^,。、]{1,9}$")
_WISH_IS_STATE = re.compile(r"(?:希望|期望|渴望|盼望)(?:的|[、和与及或且并#]|以及|得)")
_PAST = re.compile(r"曾经?|以前|从前|(?<![走跑飞度渡穿经])过去(?!了)|昨[天晚日夜]|前[天些]|去年|前年|小时候|童年|儿时|年[轻幼]时|年少时|当[年初]|那[时年](?:候)?|早年|昔日|"
                   r"往[日年昔]|[多几数两三十]年前|上周|上个?月|上次|上学时|原[本先]|本来|一度|早些时候|此前|先前|之前|当时|几天前|刚才还|刚刚还")
_PAST_ADVERB = re.compile("曾经?|一度|原[本先]|本来|小时候|儿时|年轻时|年幼时|刚才还|刚刚还")
_OF_THE_PAST = re.compile(r"的(?!#|[^,。]{0,4}#+$)|发生|那件|因|让|使|令|感到|觉得|回忆|想起|而|提")
_ABOUT_THE_PAST = re.compile(r"(?:为|对|对于|因|因为|由于|关于|想起|想到|回忆起?|回想起?|提[到起及]|[谈说聊讲]到?起?|怀念|将|把)[^,。]{0,3}$")
_STILL = re.compile(r"仍|依然|依旧|至今|到现在|现在|还是|如今")
_NOW = re.compile(r"现在|如今|今天|此刻|目前|眼下|已经?|但|可|而|终于|这次|今")
_GONE = re.compile(r"(?:的?(?:情绪|心情|感|神情|之情|表情|感觉)?)?(?:已经?|早已|逐渐|渐渐|慢慢|立刻|瞬间|顿时|终于|便|也|都|就|随之|很快|完全|彻底)*"
                   r"(?:消失|消散|散去|褪去|退去|消退|消除|平息|烟消云散|一扫而空|荡然无存|不见了|不复|化解|过去了|消了|被[^,。]{0,6}(?:取代|代替|化解|驱散|打消))")

_THINGS = ("气氛|氛围|环境|场景|场面|局势|形势|局面|话题|问题|事情|事件|事儿|往事|消息|新闻|音乐|旋律|背景|画面|故事|回忆|记忆|经历|遭遇|关系|工作|生活|日子|"
           "节奏|比赛|剧情|电影|天气|灯光|色调|光线|房间|内容|时刻|情节|情境|情景|处境|状况|情况|事故|现实|命运|结局|歌曲|音效|配乐|时光|时间|事|考试|字幕|台词|"
           "题材|主题|案件|任务|局|笑话|节目|冷笑话|段子|话语内容|游戏|电话|课程|场合")
_OF_A_THING = re.compile(rf"(?:#|、|和|又|而|与|且|的(?=#))*(?:(?:的|之)[^,。、#的]{{0,4}}?)?(?:{_THINGS})(?!中?(?:感到|觉得))")
_A_THING_IS = re.compile(rf"(?:{_THINGS})(?:本身|中|里|也|都|更|变得|变|显得|显|愈发|越来越|逐渐|一度|十分|非常|很|较为|较|比较|过于|有些|有点|略显|相当|极其|格外|"
                         rf"更加|是|偏|充满|带有|#|、|和|又|与|而)*$")
_EASED = re.compile(r"(?:化解|打破|消除|避免|克服|驱散|减轻|缓解|缓和|调节|活跃|冲淡|营造|烘托|制造|渲染)了?(?:[^,。#]{0,4}的|#|、|和|一些|当前|场面|这种|那种|现场)*$")
_ANYBODY = re.compile(r"(?:令|让|使|叫|给)(?:人们?|观众|听者|听众|观者|我们|大家)(?:们)?(?:感到|觉得|感觉|很|十分|非常|更加|心生|产生|有|有些|一种|#|、|和|又)*$")


def sentences(text: str) -> list[str]:
    """Sentences of a simplified text; what is longer than any sentence is cut, at a comma where there is one."""
    found = []
    for part in SENTENCE.split(text):
        while part and len(part) > LONGEST_SENTENCE:
            at = max(part.rfind(mark, 0, LONGEST_SENTENCE) for mark in ",、 ") + 1 or LONGEST_SENTENCE
            found.append(part[:at])
            part = part[at:]
        if part and part.strip():
            found.append(part)
    return found


@lru_cache(maxsize=256)
def clause_of(sentence: str, start: int, end: int) -> tuple[int, int]:
    """Where the clause of a place begins and ends: between commas, colons, brackets and turning words."""
    low, high = 0, len(sentence)
    for match in _CLAUSE.finditer(sentence):
        if match.end() <= start:
            low = match.end()
        elif match.start() >= end:
            return low, match.start()
    return low, high


@lru_cache(maxsize=256)
def comma_clauses(sentence: str) -> list[tuple[int, int]]:
    """(start, end) of what stands between commas."""
    ends = [match.span() for match in re.finditer("[,:()]", sentence)]
    starts = [0, *(end for _, end in ends)]
    return list(zip(starts, [*(start for start, _ in ends), len(sentence)], strict=True))


def conclusion_start(sentence: str) -> int | None:
    """Where the conclusion of a sentence begins; None for a sentence that concludes nothing."""
    match = _CONCLUSION.search(sentence)
    return match.start() if match else None


def denial(masked: str, start: int, end: int) -> str | None:
    """"understated" for "not very", "denied" for any other denial that reaches the emotion; None without one."""
    low, _ = clause_of(masked, start, end)
    before, after = masked[max(low, start - REACH):start], masked[end:end + REACH]
    if _UNDERSTATED.search(before):
        return "understated"
    plain = _NO_DENIAL.sub(lambda match: "~" * len(match[0]), before)
    denied = (_DENIAL.search(plain) or _RATHER.search(before) or _SMALLER.search(before)
              or _DENIED_AFTER.match(after) or _RATHER_AFTER.match(after))
    return "denied" if denied else None


def is_unreal(sentence: str, masked: str, start: int, end: int) -> bool:
    """True where the emotion is asked, supposed, pretended, wished, or only shown."""
    low, high = clause_of(masked, start, end)
    low = max(low, start - REACH)
    before, after, rest = masked[low:start], masked[end:high], masked[end:]
    if sentence.rstrip(" ”\"')").endswith(("?", "吗")) or _ASKED.search(before) or _undecided(masked[:start]):
        return True
    if _PRETENDED.search(before) or _PRETENCE_AFTER.match(after) or _supposed(masked, start):
        return True
    if _OUTWARD.search(before) and _INWARD.search(rest):
        return True
    if _SEEMING.search(before) and (_REALLY.search(rest) or re.search("虽然|尽管", before) and "#" in rest):
        return True
    return bool(_WISHED.search(sentence[low:start])) and not _WISH_IS_STATE.search(masked[low:start] + "#")


def _undecided(before: str) -> bool:
    """True behind "it cannot be told", up to a turn of the sentence."""
    told = _UNDECIDED.search(before)
    return told is not None and not re.search("但|不过|然而|只是|却|,[他她]只|,而", before[told.end():])


def _supposed(masked: str, start: int) -> bool:
    """True behind a condition, up to a turn of the sentence."""
    supposed = False
    for low, high in comma_clauses(masked):
        clause = masked[low:min(high, start)]
        if low > start:
            break
        if supposed and _TURN.match(masked[low:high]):
            supposed = False
        condition = _CONDITION.search(clause)
        if condition and not _OBSERVING.search(masked[low:high]):
            supposed = True
        here = supposed
        if condition and _OWN_CLAUSE_ONLY.search(clause):
            supposed = False
        if low <= start <= high:
            inside = re.search("(?:但是?|然而|其实|现在)", clause)
            return here and not (inside and (not condition or inside.start() > condition.start()))
    return False


def is_past(masked: str, start: int, end: int) -> bool:
    """True where the emotion is over."""
    low, high = next((span for span in comma_clauses(masked) if span[0] <= start <= span[1]))
    if _GONE.match(masked[end:high]):
        return True
    clause = masked[low:start]
    if _STILL.search(masked[low:high]):
        return False
    for match in _PAST.finditer(clause):
        between = clause[match.end():]
        adverb = _PAST_ADVERB.fullmatch(match[0])
        if re.fullmatch("(?:时候?|里|中)?的[^,。]{0,3}", between):  # 曾经的快乐
            return True
        if re.match("[他她我]|,", between) and not re.search("让|使|令|发生", between):
            return True
        if _ABOUT_THE_PAST.search(clause[: match.start()]) and not between.startswith(("是", "很")):
            continue
        if adverb and not re.search("而|让|使|令", between) or not adverb and not _OF_THE_PAST.search(between):
            return True
    before = masked[:low].rstrip(",")
    earlier = before[before.rfind(",") + 1:]
    return len(earlier) <= 6 and bool(_PAST.search(earlier)) and "#" not in earlier and not _NOW.search(clause)


def is_of_a_thing(masked: str, start: int, end: int) -> bool:
    """True where the word is said of a topic, a place or an event, or of what is eased; a voice or a face is none."""
    low, high = clause_of(masked, start, end)
    before, after = masked[max(low, start - REACH):start], masked[end:min(high, end + REACH)]
    return bool(_OF_A_THING.match(after) or _A_THING_IS.search(before) or _EASED.search(before))


def is_done_to_somebody(masked: str, start: int) -> bool:
    """True for what others do: 被人嘲笑, 受到指责."""
    return bool(_DONE.search(masked[max(0, start - REACH):start]))


def is_of_anybody(masked: str, start: int) -> bool:
    """True for what anybody would feel: 令人担忧, 让人感到害怕."""
    return bool(_ANYBODY.search(masked[max(0, start - REACH):start]))
