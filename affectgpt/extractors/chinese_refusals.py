"""What a Chinese answer says about the one who answers and not about the clip: refusals and boilerplate.

    without_boilerplate("抱歉,我无法识别视频中人物的情绪。")      ->  refused, nothing left
    without_boilerplate("我看不到画面,但从声音听,她很伤心。")   ->  refused, "从声音听,她很伤心。" left
"""

from __future__ import annotations

import re

from affectgpt.extractors.refusals import Rest

_DO = (r"识别|判断|确定|分析|推断|推测|提供|查看|观看|访问|打开|播放|处理|接收|读取|获取|看[到见]|听[到见]|回答|回复|协助|帮助?|满足|完成|评论|评价|评估|解读|理解|描述|给出|"
       r"做出|作出|生成|感知|感受|体会|得知|知道|猜测|讨论|参与|继续|执行|直接|准确|进行|辨认|加载|确认|得出|告诉|为您|为你|对[^,。]{1,12}(?:判断|分析|评论|识别)")
_CANNOT = r"(?:无法|不能|不可以|没法|没有办法|没有能力|没办法|不便|不方便|不会|不具备|不应该?|不愿意?|不适合|拒绝|难以|未能|没能|没有权限|还不能|尚不能|暂时?无法|并不能)"
_ANSWERER = re.compile(
    rf"(?<!自)(?:我|我们|本(?:AI|模型|助手|系统))(?:是|只是|仅仅?是|们)?[^,。!?\"“”他她]{{0,8}}?{_CANNOT}[^。!?,]{{0,12}}?(?:{_DO})"
    rf"|^(?:非常|很|十分)?(?:抱歉|对不起|不好意思|很遗憾|遗憾的是|遗憾)[,:!。 ]*"
    r"(?:但是?|不过|我|作为|目前|由于|因为|根据|您|你|视频|音频|图片|该|这个|没有|现在)*[^。!?他她]{{0,20}}?"
    rf"{_CANNOT}[^。!?]{{0,16}}?(?:{_DO})"
    rf"|^{_CANNOT}(?:{_DO})(?:您|你|该|此|这个?|所|关于|任何)?[^,。他她]{{0,16}}(?:请求|要求|问题|内容|视频|音频|图片|图像|文件)"
    r"|作为(?:一个|一名|一款|一种|个)?[^,。]{0,8}?(?:AI|ai|人工智能|语言模型|大模型|模型|助手|机器人)"
    r"|我(?:只|仅仅?|不过)?是(?:一个|一名|一款|个)?[^,。]{0,10}?(?:AI|ai|人工智能|语言模型|大模型|助手|机器人)"
    r"|(?:没有|未|并未|没能|尚未)(?:提供|上传|附上|附带|收到|接收到|发送|看到|检测到|找到|包含|成功加载|加载)[^,。他她]{0,16}(?:视频|音频|图片|图像|文件|附件|画面|素材|片段|链接)"
    r"|(?:视频|音频|图片|图像|文件|附件|链接)[^,。]{0,6}(?:未能|没有|无法|不能|未)(?:被)?(?:提供|上传|加载|打开|显示|播放|访问|附上|查看|收到)"
    r"|请(?:您|你)?(?:再次|重新|先|直接|尽量|将)?[^,。]{0,6}?(?:提供|上传|发送|补充|附上|分享)"
    r"|(?:违反|不符合|有悖)[^,。]{0,10}(?:政策|规定|准则|隐私|原则)|(?:涉及|侵犯)[^,。]{0,8}隐私")
_NOTHING_TOLD = re.compile(
    r"(?:信息|线索|内容|依据|证据|上下文|画面)[^,。#]{0,6}(?:不足|不够|有限|缺失|太少|过少)"
    r"|(?:缺乏|缺少|没有)(?:足够|充分|更多|具体|明确|任何)的?[^,。]{0,4}(?:信息|线索|依据|证据|上下文)"
    r"|(?:无法|不能|难以|很难|不足以|没法)(?:仅凭|就此|直接|准确|明确|进一步|具体|完全|从[^,。]{1,12}中?)*地?(?:判断|确定|推断|得知|识别|辨别|得出|确认|推测|看出|分析)"
    r"|(?:不清楚|不明确|不得而知|未知|不详)")
_BOILERPLATE = re.compile(
    r"希望(?:这|我的|以上|上述|能够?对|对)[^。]{0,16}(?:帮助|有用|满意|解答)|(?:如果|若|如)(?:您|你|还|有)[^。]{0,24}(?:告诉我|告知|提问|联系|问我|补充|随时|请)"
    r"|(?:很|非常|十分)?(?:高兴|乐意|荣幸|开心|愿意)(?:能够?|可以)?(?:为|帮|协助|与|和)(?:您|你|大家)|^(?:当然可以|当然|好的|没问题|可以的)[,!。]"
    r"|(?:请注意|需要注意|值得注意|需要说明|请记住|需要强调|需要指出)[^。]{0,24}(?:情绪|情感|分析|判断|推测|主观|仅供|个体|解读|表达)"
    r"|(?:情绪|情感)[^,。]{0,12}(?:是主观的|因人而异|具有主观性|较为主观|很主观)"
    r"|仅供参考|(?:随时|欢迎)(?:向我|告诉我|提问|联系)|感谢(?:您|你)的?(?:提问|分享|提供|问题|信任)|谢谢(?:您|你)的?(?:提问|分享|提供)"
    r"|^(?:非常|很|十分|真的?)?(?:抱歉|对不起|不好意思)[,!。]?$|为(?:您|你)造成[^。]{0,8}不便|我(?:会|将|来|可以|需要)[^。]{0,10}(?:分析|观察|描述|帮助|为您|为你)")
_APOLOGY = re.compile(r"^(?:非常|很|十分|真的?)?(?:抱歉|对不起|不好意思|很遗憾|遗憾的是)(?:[,:!。]|$)")
_CLASS = "(?:积极|消极|中性|正面|负面|正向|负向|中立)的?"
CLASSES = re.compile(rf"{_CLASS}(?:(?:[、/,|]|还是|或者?|和|与|以及)+{_CLASS}){{1,2}}(?:情绪|情感)?")
"""The names of the classes, not what was chosen of them."""
LONGEST_SENTENCE = 400
_SENTENCE = re.compile(r"(?<=[。!?;])\s*|\n+")
_PART = re.compile(r"(,(?:但是?|不过|然而|可是|只能|虽然|尽管)?|但是?|不过|然而|;)")


def without_boilerplate(text: str) -> Rest:
    """A simplified text without refusals, offers of help, remarks about emotions in general, and lists of classes."""
    kept, refused, untold = [], False, False
    for sentence in _SENTENCE.split(text):
        if not sentence.strip() or len(sentence) > LONGEST_SENTENCE:  # the patterns are for sentences
            kept.append(sentence)
            continue
        sentence = CLASSES.sub("", sentence.strip())
        refuses = bool(_ANSWERER.search(sentence))
        if not (refuses or _NOTHING_TOLD.search(sentence) or _BOILERPLATE.search(sentence)
                or _APOLOGY.search(sentence)):
            kept.append(sentence)
            continue
        parts, rest = _PART.split(sentence), ""
        apologises = bool(_APOLOGY.search(sentence)) and refuses
        for index in range(0, len(parts), 2):
            part = parts[index]
            says_no = bool(_ANSWERER.search(part))
            tells_nothing = not says_no and bool(_NOTHING_TOLD.search(part))
            refused, untold = refused or says_no, untold or tells_nothing
            apology = index == 0 and bool(_APOLOGY.search(part.strip() + ",")) and refuses
            general = bool(_BOILERPLATE.search(part)) and not (index == 0 and len(parts) > 1 and part[:1] in "抱对不"
                                                              and not refuses)
            if not (says_no or tells_nothing or apology or general):
                rest += (parts[index - 1] if rest else "") + part
        if refuses:
            refused = True
            if apologises and not re.search("但|不过|然而", sentence):
                rest = ""
        kept.append(rest.strip(" ,;"))
    rest = "\n".join(part for part in kept if any(map(str.isalnum, part)))
    return Rest(rest, refused, untold)
