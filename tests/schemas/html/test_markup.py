from dfer.schemas.html.markup import Html, join, tag, text


def test_only_markup_made_by_tag_stays_markup():
    inner = tag("b", "<i>")
    assert inner == "<b>&lt;i&gt;</b>" and isinstance(inner, Html)
    assert join(inner, "<b>", None) == "<b>&lt;i&gt;</b>&lt;b&gt;"
    assert tag("p", inner + "<u>", class_='a"b', aria_label="x", title=None) == (
        '<p class="a&quot;b" aria-label="x">&lt;b&gt;&amp;lt;i&amp;gt;&lt;/b&gt;&lt;u&gt;</p>'
    )
    assert tag("img", alt="'") == '<img alt="&#x27;">'
    assert text("é 中 👍\u200d\u202e\n") == "é 中 👍\u200d\\u202e\\n"
