import pytest

from docs.site.equations import (
    defined_by,
    displays,
    equations_of,
    lines_of,
    names_of,
    one_a_line,
)


def test_displays_are_found_between_prose() -> None:
    text = "Before.\n\n$$\na = 1\n$$\n\nIn $b$ between.\n\n$$\nc\n$$\n"
    assert displays(text) == ["a = 1", "c"]


def test_a_line_break_within_cases_ends_no_line() -> None:
    latex = r"\begin{aligned} a &= \begin{cases} 1 & x \\ 2 & y \end{cases} \\ b &= 3 \end{aligned}"
    assert lines_of(latex) == [r"a &= \begin{cases} 1 & x \\ 2 & y \end{cases}", "b &= 3"]


@pytest.mark.parametrize(
    ("symbol", "names"),
    [
        ("m_t", {"m"}),
        (r"\hat v_t", {"v_hat"}),
        (r"v^{\max}_t", {"v_max"}),
        (r"\rho_\infty", {"rho_inf", "rho_infinity"}),
        ("m_{2,t}", {"m2", "m_2"}),
        (r"\theta_t", {"param"}),
        ("s_{t+1}", {"s"}),
        (r"g_\perp", {"across"}),
        (r"\sigma_t^2", {"variance"}),
        ("B_t", {"B", "b"}),
        (r"\mu_t(r)", {"mu", "mean"}),
        (r"\text{by value:} \quad g", {"grad"}),
        (r"\text{every } k \text{ steps:} \quad \phi", {"mask", "slow"}),
        (r"a + b", set()),
        ("g_0", set()),
        (r"\bar r_1", set()),
    ],
)
def test_names_of_symbols(symbol: str, names: set[str]) -> None:
    assert names_of(symbol) == names


def test_a_first_value_has_names_if_it_is_asked_for() -> None:
    assert names_of("v_0", first=True) == {"v"}
    assert names_of("v_t", first=True) == set()
    (equation,) = equations_of("$$\nv_0 = 1\n$$")
    assert not equation.names
    assert equation.first == {"v"}


def test_an_equation_of_words_refers_to_another_page() -> None:
    one, two = equations_of("$$\nu_t = \\text{Adam's}, \\qquad \\text{added:} \\quad g = 1\n$$")
    assert (one.refers, two.refers) == (True, False)


def test_a_line_may_define_several_symbols() -> None:
    assert defined_by(r"m_t, v_t &= \text{as in Adam}") == {"m", "v"}
    assert defined_by(r"m_{1,t} &= \beta_1 m_{1,t-1}") == {"m1", "m_1"}


def test_the_marks_of_alignment_go_but_those_of_cases_stay() -> None:
    text = (
        "$$\n\\begin{aligned}\na &= 1 \\\\\n"
        "b &= \\begin{cases} 1 & x \\\\ 2 & y \\end{cases}\n\\end{aligned}\n$$"
    )
    one, two = equations_of(text)
    assert one.latex == "a = 1"
    assert two.latex == r"b = \begin{cases} 1 & x \\ 2 & y \end{cases}"


def test_equations_side_by_side_are_apart_and_get_a_line_each() -> None:
    text = "$$\nm = 1, \\qquad q = \\begin{cases} 1 & x \\\\ 2 & y \\end{cases}\n$$"
    assert [(each.latex[:3], *each.names) for each in equations_of(text)] == [
        ("m =", "m"),
        ("q =", "q"),
    ]
    assert one_a_line(text) == (
        "$$\n\\begin{aligned}\nm &= 1 \\\\\n"
        "q &= \\begin{cases} 1 & x \\\\ 2 & y \\end{cases}\n\\end{aligned}\n$$"
    )


def test_a_display_of_single_equations_stays_as_it_is() -> None:
    text = "$$\n\\begin{aligned}\na &= 1\n\\end{aligned}\n$$"
    assert one_a_line(text) == text
