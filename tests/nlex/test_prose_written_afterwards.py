"""Prose about another program, written when the phrases stood: how well they carry over.

On the first run all 16 true sentences passed and 19 of 20 false ones were found:
precision 19 / 19, recall 19 / 20. The one that is missed prints words without quotes.
"""

from simex.nlex.grounding import check_text
from simex.nlex.truth import Truth

SOURCE = """\
def gcd(a, b):
    while b:
        a, b = b, a % b
    return a
n = int(input())
words = input().split()
best = ''
counts = {}
for w in words:
    counts[w] = counts.get(w, 0) + 1
    if len(w) > len(best):
        best = w
total = 0
for k in range(1, n + 1):
    if n % k == 0:
        total += k
g = gcd(total, n)
print(best, total, g)
"""

TRUE = """\
We read n = 6 and split the second line into words = ['ab', 'c', 'ab', 'def'].
best starts out as an empty string and counts as an empty dict.
For the first word, w is 'ab', and counts becomes {'ab': 1}.
Because len(w) is 2 and len(best) is 0, the condition is true and best becomes 'ab'.
Next w = 'c'; counts is now {'ab': 1, 'c': 1}. Its length 1 is not greater than 2.
After the third word counts['ab'] is 2.
Finally best is set to 'def'.
The second loop runs 6 times, with k going from 1 to 6.
For k = 1, 6 % 1 == 0 holds, so total becomes 1.
When k is 4, 6 % 4 is 2, so total stays at 6.
In the last iteration k is 6 and total increases to 12.
gcd(12, 6) is called with a = 12 and b = 6.
Inside, a becomes 6 and b becomes 0, so gcd returns 6.
g gets 6, and the program prints def 12 6.
6 is divisible by 3, so 3 is added to total, giving total = 6.
The variable total is 3 after k = 2.
"""

FALSE = """\
We read n = 7 and split the second line.
words has the value ['ab', 'c', 'ab'].
For the first word, counts becomes {'ab': 2}.
len(w) is 3 for w = 'ab', so best becomes 'c'.
Next w = 'd'.
After the third word counts['ab'] is 3.
Finally best is set to 'de'.
The second loop runs 7 times.
For k = 1, total becomes 2.
When k is 4, 6 % 4 is 1.
In the last iteration k is 6 and total increases to 13.
gcd is called with a = 12 and b = 5.
Inside, a becomes 6 and b becomes 1.
gcd returns 3.
The program prints def 12 7.
5 is divisible by 3.
6 % 4 == 0 holds.
The while loop executes three times.
A ZeroDivisionError is raised.
total goes from 6 to 11.
"""


def test_true_sentences_pass_and_nearly_all_false_ones_are_found(trace_of):
    truth = Truth(trace_of(SOURCE, "6\nab c ab def\n"))

    def flagged(text):
        checked = {line: check_text(line, truth, style="llm") for line in text}
        return [line for line, found in checked.items() if found.false_statements]

    assert flagged(TRUE.splitlines()) == []
    assert len(flagged(FALSE.splitlines())) >= 19  # of 20
