"""Whose emotion it is in a Chinese sentence: the main character's or somebody else's. Pure functions over words.

The main character is the one that a text is about (他, 说话者, 该女子). 对方, 旁人 and whoever stands in a relation to the main
character (他的母亲) are somebody else; of people who may be either (医生, 店员), the first one of a text is the main character.
"""

from __future__ import annotations

import re

MAIN = frozenset(
    "他 她 它 我 他们 她们 我们 自己 本人 自身 二人 两人 双方 彼此 俩人 说话者 说话人 讲话者 讲述者 发言者 发言人 人物 主角 主人公 主体 角色 当事人 男子 女子 男人 女人 男性 女性 "
    "男士 女士 男孩 女孩 男生 女生 小男孩 小女孩 男孩子 女孩子 小伙子 小伙 姑娘 小姑娘 青年 少女 少年 老人 老者 老妇人 老太太 妇女 女郎 男主角 女主角 男主 女主 "
    "男主人公 女主人公 说话 被试".split())
OTHERS = frozenset(
    "对方 别人 他人 旁人 众人 大家 其他人 其它人 其他 周围人 旁观者 观众 听众 听者 听话者 倾听者 路人 人们 人家 外人 朋友 好友 友人 同事 同学 同伴 伙伴 伴侣 家人 亲人 亲戚 "
    "亲友 家属 父母 双亲 父亲 母亲 爸爸 妈妈 爸 妈 爹 娘 老爸 老妈 爷爷 奶奶 祖父 祖母 外公 外婆 姥姥 姥爷 哥哥 姐姐 弟弟 妹妹 哥 姐 兄弟 姐妹 儿子 女儿 孩子 孩子们 小孩 "
    "婴儿 宝宝 孙子 孙女 丈夫 妻子 老公 老婆 太太 男友 女友 男朋友 女朋友 恋人 情人 爱人 前任 前男友 前女友 情敌 未婚夫 未婚妻 老板 上司 领导 上级 下属 下级 手下 员工 "
    "客户 顾客 客人 来客 访客 宾客 邻居 敌人 对手 队友 战友 室友 舍友 同桌 闺蜜 女婿 儿媳 媳妇 婆婆 公公 岳父 岳母 叔叔 阿姨 舅舅 舅妈 姑姑 姑妈 姨妈 伯伯 伯父 表哥 表姐 "
    "表弟 表妹 侄子 侄女 第三者 第三方 陌生人 群众 民众 村民 粉丝 围观者 人群 受害者 受害人 嘉宾 乘客 路过的人 另一方 另一个人 另一人 其余人 徒弟 孩儿".split())
GENERAL = frozenset(
    "对方 别人 他人 旁人 众人 大家 其他人 其它人 其他 周围人 旁观者 观众 听众 听者 听话者 倾听者 路人 人们 人家 外人 陌生人 群众 民众 围观者 人群 另一方 另一个人 另一人 "
    "其余人 第三方".split())
"""Others of whom a text is never about."""
EITHER = frozenset(
    "医生 大夫 护士 老师 教师 教授 学生 警察 民警 警官 店员 服务员 司机 律师 演员 歌手 主持人 记者 保安 士兵 军官 将军 队长 队员 教练 法官 护工 病人 患者 经理 总经理 秘书 "
    "助理 侦探 厨师 售货员 收银员 房东 租客 面试官 面试者 应聘者 嫌疑人 犯人 小偷 凶手 皇帝 皇上 皇后 公主 王子 国王 女王 大臣 丫鬟 仆人 管家 新娘 新郎 选手 裁判 球员 运动员 "
    "工人 农民 商人 职员 推销员 采访者 受访者 校长 班主任 师傅 师父 主管 董事长 总裁 店主 摊主 买家 卖家 医师 评委 消费者 受访人 消防员 快递员 售票员".split())
PEOPLE = MAIN | OTHERS | EITHER

_ABOUT = frozenset("对 对于 向 跟 与 和 同 及 给 为 为了 替 朝 冲 把 将 比 像 面对 关于 在 从 被 针对 以及 随着 由 于 按照 围绕 除了 关心 帮".split())
"""Before a person who is not the one who feels."""
_MET = frozenset("面对 面临 由于 因为 因 由 被 从 在 随着".split())
"""Those of them that put what the person feels before the main character."""
_CAUSING = frozenset("让 使 令 叫 惹 逗 害 使得 导致 致使 惹得 弄得 气得 搞得 害得 安慰 安抚 劝 劝慰 哄 激怒 惹怒 鼓励 使劲".split())
_PERCEIVING = frozenset(
    "看到 看见 见 见到 看 听到 听见 听 发现 注意到 察觉 察觉到 觉得 认为 以为 知道 得知 担心 怕 害怕 希望 感觉 感觉到 感受到 体会到 意识到 理解 明白 了解 目睹 询问 问 询问起 "
    "怀疑 猜测 发觉 面临 想到 想起".split())
_AFTERWARDS = frozenset("后 之后 以后 时 时候 的时候 之时 而 就 便 于是 从而 因此 所以".split())
_SUBORDINATE = frozenset("当 因为 由于 如果 虽然 尽管 即使 既然 在 看到 听到 得知 面对 每当 自从 只要 除非 直到".split())
_BEFORE_A_SUBJECT = frozenset(
    "而 但 但是 然而 不过 可是 却 同时 此时 这时 当 如果 虽然 尽管 因为 由于 所以 因此 可能 也许 或许 并且 且 另外 其中 显然 随后 之后 然后 接着 最后 最终 起初 现在 突然 忽然 "
    "旁边 一旁 身旁 身边 身后 对面 面前 周围 在场 在座 电话 那头 屏幕 画面 视频 镜头 前 中 里 的 一 这 那 该 此 位 名 个 群 些 一位 一名 一个 这位 那位 这个 那个 这名 那名 一些 "
    "几个 几位 所有 其他 另 另外 另一 另一位 另一个 另一名 年轻 中年 老年 小 老 既然 每当 自从 即使 其实 原来 唯独 只有 就连 连 似乎 好像 据 说 昨天 今天 当时 曾经 曾 刚才 "
    "以前 只要 除非 直到 还是 就 男 女 男性 女性".split())
_AFTER_A_SUBJECT = frozenset(
    "却 则 也 都 更 反而 反倒 显得 看起来 看上去 十分 非常 很 感到 觉得 有些 有点 一脸 满脸 似乎 仍 仍然 依然 露出 表现 表现出 流露出 本人 自己 早已 已经 早就".split())
_TRANSITIVE = _CAUSING | frozenset(
    "支持 担心 害怕 喜欢 讨厌 同情 怜悯 怀疑 嘲笑 讽刺 批评 指责 责备 关心 照顾 思念 想念 羡慕 嫉妒 感谢 信任 理解 爱 恨 心疼 可怜 埋怨 抱怨 质问 欣赏 敬佩".split())
"""States that take a person as their object: 安抚惊慌的孩子."""
_ANOTHER = re.compile("^(?:另|另外|另一|另一位|另一个|另一名|另外一位|另外一个|其他|其余|对面|对面的|旁边|旁边的|身旁|身边)$")
_FEELING = frozenset("感到 觉得 表示 表现 表现出 十分 非常 很 有些 有点 显得 流露出 产生".split())
_JOINS = frozenset("、 和 与 及 或 又 而 且 以及".split())


def main_of(words: list[str]) -> str | None:
    """The person of those who may be either that a text is about, None where a man, a woman or a speaker is.

    words: of the whole text. Relations ("妻子") are the main character only where nobody else could be.
    """
    for place, word in enumerate(words):
        if word in MAIN:
            for behind in words[place + 1 : place + 6]:  # 女子是一名护士
                if behind in EITHER and {"是", "为"} & set(words[place + 1 : place + 3]):
                    return behind
            return None
        before = words[place - 1] if place else ""
        related = before == "的" and bool(MAIN & set(words[max(0, place - 3) : place]))
        if word not in OTHERS and _is_person(word) and before not in _ABOUT and not related:
            return word
        if word in OTHERS - GENERAL and not (MAIN - {"自己", "说话"}) & set(words) and not EITHER & set(words):
            return word
    return None


def others_feel(words: list[str], emotions: set[int], main: str | None) -> list[bool]:
    """For each word of a sentence, whether an emotion there would be somebody else's.

    emotions: places of the emotion words. main: see `main_of`.
    """
    found, inherited, low = [False] * len(words), False, 0
    for high in [*(place for place, word in enumerate(words) if word in ",:;()"), len(words)]:
        inherited = _clause(words, low, high, emotions, main, inherited, found)
        low = high + 1
    return found


def _clause(words, low, high, emotions, main, inherited, found) -> bool:
    """Fill in `found` for one clause; who its subject is goes to the next one."""
    other, carried, theirs = inherited, inherited, set()
    for place in range(low, high):
        word = words[place]
        if place in emotions:
            found[place] = place in theirs or _of_whom_behind(words, place, high, emotions, main, other)
        elif _is_person(word):
            before = words[place - 1] if place > low else ""
            follows = words[place + 1] if place + 1 < high else ""
            cause = _cause(words, low, place)
            somebody = _is_other(words, low, place, main)
            if before in _ABOUT and cause is None:
                if somebody and follows == "的":
                    theirs |= _blamed(words, place, high, emotions, before in _MET)
                continue
            first = follows in _AFTER_A_SUBJECT or all(earlier in _BEFORE_A_SUBJECT or _is_person(earlier)
                                                       for earlier in words[low:place])
            if follows == "的" and place + 2 < high and _is_person(words[place + 2]):
                continue  # 他的母亲: the next one counts
            if cause is not None or first:
                other = somebody
                if first and follows != "的":
                    carried = somebody and not _SUBORDINATE & set(words[low:place])
                elif first and not somebody:
                    carried = False
            elif follows == "的" and _attribute_reaches(words, place, high, emotions):
                other = somebody  # 感受到对方的愤怒
        elif word in _AFTERWARDS and place > low and other:
            other = False
    return carried


def _cause(words: list[str], low: int, place: int) -> str | None:
    """The word that makes a person feel, or by which a person is perceived, right before that person."""
    for earlier in reversed(words[max(low, place - 4) : place]):
        if earlier in _CAUSING or earlier in _PERCEIVING:
            return earlier
        if earlier not in _BEFORE_A_SUBJECT and earlier not in MAIN and earlier not in ("了", "着", "过", "到"):
            return None
    return None


def _is_other(words: list[str], low: int, place: int, main: str | None) -> bool:
    word = words[place]
    if word == main:
        return False
    if word in MAIN:
        return any(map(_ANOTHER.match, words[max(low, place - 3) : place]))
    return word in OTHERS or main is not None or bool(MAIN & set(words[:place]))  # 这位医生 alone is the main character


def _blamed(words: list[str], place: int, high: int, emotions: set[int], met: bool) -> set[int]:
    """Places of what a person has and the main character feels something about: 对对方的傲慢感到不满, 面对观众的嘲笑."""
    first = next((at for at in range(place + 2, min(place + 5, high)) if at in emotions), None)
    felt = first is not None and (met or any(words[at] in _FEELING or at in emotions and words[at - 1] not in _JOINS
                                     for at in range(first + 1, high)))
    return {first} if felt else set()


def _is_person(word: str) -> bool:
    return word in PEOPLE or len(word) > 2 and word.endswith(("者", "员"))


def _attribute_reaches(words: list[str], place: int, high: int, emotions: set[int]) -> bool:
    """True where an emotion is what a person has: 对方的(强烈)愤怒."""
    return any(after in emotions for after in range(place + 2, min(place + 5, high)))


def _of_whom_behind(words, place, high, emotions, main, other) -> bool:
    """Whose emotion it is where a person stands behind: 愤怒的顾客 is the customer's."""
    at = place + 1
    if words[place] in _TRANSITIVE and at in emotions:
        return other
    while at < high and (at in emotions or words[at] in _JOINS):
        at += 1
    if at < high and words[at] == "的":
        for behind in range(at + 1, min(at + 4, high)):
            if _is_person(words[behind]):
                return _is_other(words, place, behind, main)
            if words[behind] in ("是", "在", "对", "让", "使", "地", "的"):
                break
    return other
