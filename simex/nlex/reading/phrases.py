"""The phrases in which people and models state what a program does, as patterns.

A pattern ends where the value begins, unless it holds a group `value`. They are plain
English as the explanations of language models use it; what matches none is no
statement. All are linear in the text but for the bounded `expr` groups.
"""

import re

NAME = r"(?P<name>[A-Za-z_]\w*)"
_NUMBER = r"-?\d+(?:\.\d+)?"
_QUOTED = r"'(?:\\.|[^'\\\n])*'|\"(?:\\.|[^\"\\\n])*\""
_OPERAND = (
    rf"(?:{_NUMBER}|{_QUOTED}|\[[^\[\]\n]*\]|\([^()\n]*\)"
    r"|[A-Za-z_]\w*(?:\[[^\[\]\n]*\]|\([^()\n]*\))*)"
)
# On one line: the next one may begin with the dash of a list.
_STEP = rf"(?:[^\S\n]*(?:\*\*|//|<<|>>|[-+*/%&|^])[^\S\n]*{_OPERAND})"
# Each operand of a chain may begin a match: a bound keeps the search linear.
ARITHMETIC = rf"{_OPERAND}{_STEP}{{0,16}}"
_WORKED_OUT = (
    rf"(?:{_OPERAND}{_STEP}{{1,16}}"
    r"|[A-Za-z_]\w*(?:\[[^\[\]\n]*\]|\([^()\n]*\))+)"
)
LITERAL = rf"(?:{_NUMBER}|{_QUOTED}|\[[^\[\]\n]*\]|\([^()\n]*\)|\{{[^{{}}\n]*\}}|True|False|None)"
_INDEX = r"\d{1,9}"  # of a line or a turn; `int` refuses thousands of digits
_LINE = rf"(?:\s+on\s+line\s+(?P<line>{_INDEX}))?"
_WORDS = "zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve"
_COUNT = rf"(?P<count>{_INDEX}|{_WORDS})"
NUMBER_WORDS = {word: number for number, word in enumerate(_WORDS.split("|"))}
_ORDERS = "first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth"
ORDINALS = {word: number for number, word in enumerate(_ORDERS.split("|"), start=1)}

_YES = (
    r"holds|succeeds|passes|is\s+(?:met|satisfied|true|fulfilled)|(?:evaluates\s+to\s+|"
    r"is\s+|gives\s+|was\s+|:\s*|=\s*|→\s*|\()?(?:true|True|TRUE|yes)"
)
_NO = (
    r"does(?:\s+not|n't)\s+(?:hold|pass)|fails|is(?:\s+not|n't)\s+(?:met|satisfied|true|fulfilled)"
    r"|is\s+false|(?:evaluates\s+to\s+|is\s+|gives\s+|was\s+|:\s*|=\s*|→\s*|\()?(?:false|False|FALSE|no\b)"
)
_OUTCOME = rf"(?:(?P<no>{_NO})|(?P<yes>{_YES}))\b"
_CHANGED = (
    r"(?:set|updated|assigned|initiali[sz]ed|changed|reset|increased|decreased|"
    r"incremented|decremented|rebound|bound|reassigned|raised|lowered|doubled|halved)"
)
_MOVES = r"(?:changes|grows|increases|decreases|rises|drops|falls|goes|moves)"

EVENT = re.compile(
    rf"\b{NAME}\s+(?:becomes|became|(?:is|was|gets)\s+(?:now\s+|then\s+)?{_CHANGED}"
    rf"(?:\s+by\s+{LITERAL})?\s+(?:to|with|as|at)|(?:is|was)\s+(?:assigned|given)"
    rf"(?:\s+the\s+value)?|gets|takes(?:\s+on)?|starts\s+(?:out\s+)?(?:as|at|with)|"
    rf"{_MOVES}\s+(?:up\s+|down\s+)?(?:by\s+{LITERAL}\s+)?to|receives|ends\s+(?:up\s+)?(?:as|at))\s+"
)
FROM_TO = re.compile(rf"\b{NAME}\s+{_MOVES}\s+from\s+(?P<before>{LITERAL})\s+to\s+")
VERB_FIRST = re.compile(
    r"\b(?:[Ss]et(?:s|ting)?|[Ii]nitiali[sz](?:e|es|ing)|[Uu]pdat(?:e|es|ing)|[Ll]et)\s+"
    rf"(?:the\s+)?(?:variable\s+|value\s+of\s+)?{NAME}\s+(?:to\s+be|to|as|at|with|be|equal\s+to)\s+"
)
ASSIGNED_TO = re.compile(
    rf"(?P<value>{LITERAL})\s+(?:is\s+|was\s+)?(?:assigned\s+to|stored\s+in|saved\s+in)\s+"
    rf"(?:the\s+)?(?:variable\s+)?{NAME}\b"
)
ASSIGNS = re.compile(
    rf"\b(?:[Aa]ssign|[Ss]tore|[Ss]ave)(?:s|ing)?\s+(?P<value>{LITERAL})\s+(?:to|in|into)\s+{NAME}\b"
)
APPENDED = re.compile(
    rf"(?P<value>{LITERAL})\s+(?:is|was|gets)\s+(?:appended|added|pushed)\s+(?:to|onto)\s+"
    rf"(?:the\s+)?(?:end\s+of\s+)?(?:list\s+)?{NAME}\b"
)
APPENDS = re.compile(
    rf"\b(?:[Aa]ppend|[Aa]dd|[Pp]ush)(?:s|es|ing)?\s+(?P<value>{LITERAL})\s+(?:to|onto)\s+"
    rf"(?:the\s+)?(?:end\s+of\s+)?(?:list\s+)?{NAME}\b"
)
GROWS = re.compile(rf"\b{NAME}\s+grows\s+by\s+the\s+element\s+")
EQUALS_SIGN = re.compile(rf"(?<![\w.\])'\"]){NAME}\s*(?::=|=|←)(?!=)\s*")
STATE = re.compile(
    rf"\b{NAME}\s+(?:is|was|equals|remains|stays|has|holds|contains|=)\s+"
    r"(?:still\s+|now\s+|currently\s+|then\s+|at\s+|left\s+(?:as|at)\s+|"
    r"unchanged\s+(?:at|as)\s+|(?:the\s+)?value\s+(?:of\s+)?)*(?:equal\s+to\s+)?"
)
EQUATION = re.compile(
    rf"(?<![\w.\])'\"=])(?P<expr>{_WORKED_OUT})\s*(?:=(?!=)|\bis\b|\bequals\b|\bgives\b|\byields\b|\bmakes\b|"
    r"→|\bevaluates\s+to\b|,\s*which\s+is\b|\bresults?\s+in\b|\bcomes\s+to\b)\s*"
)
# Our own sentence first: its expression may hold "False and", or anything else.
OWN_CONDITION = re.compile(
    rf"\b[Cc]ondition (?P<expr>[^\n]{{1,400}}?) on line (?P<line>{_INDEX}) "
    r"(?:(?P<no>does not hold)|(?P<yes>holds))\b"
)
CONDITION = re.compile(
    rf"\b[Cc]ondition\s+(?P<expr>[^\n]{{1,200}}?){_LINE}\s+(?:{_OUTCOME})"
)
COMPARISON = re.compile(
    rf"(?<![\w.\])'\"])(?P<expr>{ARITHMETIC}(?:\s*(?:<=|>=|==|!=|<|>)\s*|\s+(?:not\s+in|in)\s+)"
    rf"{ARITHMETIC}){_LINE}(?:\s*[,:]?\s*(?:(?:so|and)\s+)?(?:it\s+|this\s+|that\s+|which\s+)?(?:{_OUTCOME}))?"
)
IN_WORDS = re.compile(
    rf"(?<![\w.\])'\"])(?P<left>{ARITHMETIC})\s+is\s+(?P<not>not\s+)?"
    r"(?:(?P<than>(?:strictly\s+)?(?:greater|larger|bigger|more|less|smaller|lower|fewer)\s+than"
    r"(?:\s+or\s+equal\s+to)?|equal\s+to|at\s+least|at\s+most|divisible\s+by|above|below)\s+"
    rf"(?P<right>{ARITHMETIC})|(?P<property>even|odd|positive|negative)\b)"
)
BRANCH = re.compile(
    rf"\b[Cc]ondition{_LINE}\s+(?:{_OUTCOME})"
    r"|\bthe\s+(?P<branch>if|else)[\s-]+(?:branch|block|body|clause)\s+(?:is\s+taken|runs|is\s+executed|is\s+entered)"
)
LOOP = re.compile(
    rf"\b(?:loop|it|body|cycle)?{_LINE}\s*(?:runs|iterates|executes|repeats|turns|ran|is\s+executed)\s+"
    rf"(?:exactly\s+|for\s+)?(?:a\s+total\s+of\s+)?(?:{_COUNT}\s+(?:times?|iterations?)|(?P<once>once|twice))\b"
    rf"|\b[Aa]fter\s+(?:all\s+)?(?P<after>{_INDEX}|two|three|four|five|six|seven|eight|nine|ten)\s+iterations\b"
)
AFTER_ITERATION = re.compile(
    rf"\b[Aa]fter\s+iteration\s+(?P<number>{_INDEX})"
    rf"(?:\s+of\s+the\s+loop\s+on\s+line\s+(?P<line>{_INDEX}))?,\s+"
)
AND_STATE = re.compile(rf",?\s*(?:and\s+)?{NAME}\s+is\s+")
# As a heading it opens what is told of this turn; elsewhere it may look ahead or back.
TURN = re.compile(rf"^Iteration (?P<number>{_INDEX}):", re.MULTILINE)
ITERATION = re.compile(
    rf"\b[Ii]teration\s+(?P<number>{_INDEX})\b"
    rf"|\b(?P<ordinal>{'|'.join(ORDINALS)})\s+(?:iteration|pass|turn)\b"
)
PRINT = re.compile(
    r"\b(?:[Pp]rint(?:s|ed|ing)?|[Oo]utputs?|[Oo]utput\s+(?:is|of\s+the\s+program\s+is|will\s+be))"
    r"(?:\s+out)?(?:\s+the\s+(?:value|result|number|string|line|text|list))?"
    r"(?:\s+of\s+\w+,?(?:\s+which\s+is)?)?(?:\s+is)?\s*:?\s*"
)
RETURN = re.compile(
    rf"(?:\b{NAME}(?:\([^()\n]*\))?\s+)?\b(?:returns|returned|returning|"
    r"[Rr]eturn(?:ed)?\s+value(?:\s+of\s+(?P<of>\w+)(?:\([^()\n]*\))?)?\s+is)\s+"
)
CALL = re.compile(
    r"\b(?:[Ff]unction\s+(?P<a>[A-Za-z_]\w*)\s+is\s+(?:called|invoked|entered)"
    r"|(?:calls?|calling|invokes?|enters?)\s+(?:the\s+)?(?:function\s+)?(?P<b>[A-Za-z_]\w*)"
    r"|(?P<c>[A-Za-z_]\w*)(?:\([^()\n]*\))?\s+is\s+(?:called|invoked|entered))\b"
)
RAISE = re.compile(
    rf"(?:\b[Ll]ine\s+(?P<line>{_INDEX})\s+)?"
    r"\b(?:[Rr]aises?|[Rr]aising|[Tt]hrows?)\s+(?:an?\s+)?(?P<error>[A-Za-z_]\w*)"
    r"|\b(?P<passive>[A-Z]\w*(?:Error|Exception|Iteration|Interrupt))\s+(?:is|was)\s+(?:raised|thrown)"
)
WHICH_IS = re.compile(
    r"(?P<expr>[^\n]{1,200}?)(?:,\s+which\s+(?:is|equals|gives|makes)|,\s+(?:giving|making)|\s+=(?!=)|\s+→)\s+"
)
ON_LINE = re.compile(r"[Oo]n\s+line\s+(\d+),?\s+$")
# What stands before a comparison that is only asked, not answered.
ASKS = re.compile(
    r"\b(?:if|whether|when|while|until|unless|checks?|tests?|compares?)\s+$"
)
GIVES_REASON = re.compile(r"\b(?:[Ss]ince|[Bb]ecause|[Aa]s)\s+$")
# "a has 2 elements" tells no value of a.
COUNTED = re.compile(
    r"\s+(?:elements?|items?|characters?|chars?|entry|entries|keys?|values?|digits?|"
    r"letters?|numbers?|pairs?|rows?|columns?|words?|lines?)\b"
)
# Of an unquoted line of numbers all counts: "It prints 2 7."
NUMBERS = re.compile(
    rf"{_NUMBER}(?: {_NUMBER})+(?=[.,;:!]?(?:\s*\n|\s*$)|[.,;:!]\s|\s+(?:and|then)\b)"
)
QUOTED = re.compile(rf"(?<!\w)[bBrRfFuU]{{0,2}}(?:{_QUOTED})(?!\w)")
FILLER = re.compile(
    r"\s*(?:the\s+(?:value|number|list|string|integer|result|tuple)\s+|equal\s+to\s+)?"
)
EMPTY = re.compile(r"an?\s+empty\s+(?P<what>list|string|dict(?:ionary)?|tuple|set)\b")
EMPTY_TEXTS = {"list": "[]", "string": "''", "tuple": "()", "set": "set()"}
