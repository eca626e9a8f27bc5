import ast

import pytest

from docs.site.equations import Equation, equations_of
from docs.site.source import source_of
from docs.site.statements import aligned, changed_by, entries_of, hands_on


def functions(text: str) -> dict[str, ast.FunctionDef]:
    return {node.name: node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)}


def statement(text: str) -> ast.stmt:
    return ast.parse(text).body[0]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("m.mul_(beta).add_(grad)", {"m"}),
        ("state['s'].mul_(rho)", {"s"}),
        ("m, v = state['exp_avg'], state['exp_avg_sq']", set()),
        ("beta2 = group['betas'][1]", set()),
        ("m = state['exp_avg'].lerp_(grad, 0.1)", {"m", "exp_avg"}),
        ("v: Tensor = v * 2", {"v"}),
        ("v: Tensor | None = state.get('exp_avg_sq')", set()),
        ("h = state.get('hessian', grad)", {"h"}),
        ("state['step'] += 1", {"step"}),
        ("if x:\n    u = grad", {"u"}),
        ("m.mul(beta)", set()),
    ],
)
def test_what_a_statement_changes(text: str, names: set[str]) -> None:
    assert changed_by(statement(text)) == names


def test_a_statement_that_takes_what_another_function_computes() -> None:
    assert hands_on(statement("m, v = self.moments(grad)"), {"moments"})
    assert not hands_on(statement("m, v = self.moments(grad)"), {"direction"})
    assert not hands_on(statement("m = grad * 2"), {"moments"})
    assert hands_on(statement("u = self.weight_decay.in_update(u, param, group)"), set())
    assert not hands_on(statement("u = self.weight_decay.in_update(m / v, param, group)"), set())


RULE = """
def update(self, state, group, grad, param):
    m = state["exp_avg"]
    m.lerp_(grad, 0.1)

    # Why.
    return m.sign()
"""
EQUATIONS = [Equation("u = ..", frozenset({"u"})), Equation("m = ..", frozenset({"m"}))]


def test_pieces_are_all_lines_in_order_and_begin_with_what_an_equation_computes() -> None:
    pieces = aligned(functions(RULE), EQUATIONS)["update"]
    assert [(piece.first, piece.last) for piece in pieces] == [(2, 3), (4, 4), (5, 7)]
    assert [[e.latex for e in piece.equations] for piece in pieces] == [[], ["m = .."], ["u = .."]]


def test_a_return_that_names_what_was_computed_before_is_no_equation() -> None:
    rule = "def update(self):\n    x = 1\n    u = grad * 2\n    return self.decayed(u)\n"
    pieces = aligned(functions(rule), EQUATIONS[:1])["update"]
    assert [(piece.first, len(piece.equations)) for piece in pieces] == [(1, 0), (3, 1)]


def beside(rule: str, equations: str) -> list[tuple[str, list[str]]]:
    """Return the first line of each piece of a rule that computes equations, and these."""
    pieces = aligned(functions(rule), equations_of(f"$$\n{equations}\n$$")).values()
    lines = rule.splitlines()
    return [
        (lines[piece.first - 1].strip(), [each.latex for each in piece.equations])
        for some in pieces
        for piece in some
        if piece.equations
    ]


def test_two_equations_for_one_symbol_are_computed_by_two_statements() -> None:
    rule = "def update(self):\n    b = grad\n    c = b\n    b = c * 2\n    c.mul_(b)\n"
    assert beside(rule, r"B_t = g, \qquad \tilde B_t = 2 c, \qquad \tilde B = 3") == [
        ("def update(self):", ["B_t = g", r"\tilde B = 3"]),
        ("b = c * 2", [r"\tilde B_t = 2 c"]),
    ]


def test_what_is_returned_under_another_name_is_computed_where_that_gets_its_value() -> None:
    rule = "def get_lr(self):\n    x = 1\n    decayed = x / 2\n    return decayed\n"
    assert beside(rule, r"\gamma_t = 1 / 2") == [("decayed = x / 2", [r"\gamma_t = 1 / 2"])]
    rule = "def update(self):\n    m.lerp_(grad, 1)\n    x = 1\n    return m\n"
    assert beside(rule, r"m_t = m, \qquad u_t = m_t")[-1] == ("return m", ["u_t = m_t"])
    assert beside("def update(self):\n    return grad\n", "u_t = g_t") == []


def test_a_step_is_what_a_rule_returns_if_no_equation_is_about_an_update() -> None:
    rule = "def update(self):\n    x = 1\n    return m / v\n"
    step = r"\theta_t = \theta_{t-1} - m_t / v_t"
    assert beside(rule, step) == [("return m / v", [step])]
    assert beside(rule, rf"u_t = m_t / v_t, \qquad {step}") == [
        ("return m / v", ["u_t = m_t / v_t"])
    ]


def test_a_moment_without_a_variable_is_an_entry_of_the_state() -> None:
    rule = "def update(self):\n    x = 1\n    state['exp_avg'].lerp_(grad, x)\n"
    (line, _), *more = beside(rule, "m_t = g_t")
    assert (line, more) == ("state['exp_avg'].lerp_(grad, x)", [])


def test_first_values_stand_where_the_state_begins_unless_they_are_made_of_a_gradient() -> None:
    rule = """
def init_state(self, state):
    state["step"] = 0
    state["buffer"] = torch.ones_like(param)
def update(self, state):
    b = state["buffer"]
    b.add_(grad)
"""
    assert beside(rule, r"b_t = b_{t-1}, \qquad b_0 = 1") == [
        ('state["buffer"] = torch.ones_like(param)', ["b_0 = 1"]),
        ("b.add_(grad)", ["b_t = b_{t-1}"]),
    ]
    assert beside(rule, r"b_t = b_{t-1}, \qquad b_1 = g_1") == [
        ("b.add_(grad)", ["b_t = b_{t-1}", "b_1 = g_1"])
    ]


def test_entries_of_the_state_are_found_by_the_variables_that_hold_them() -> None:
    text = """
def update(self, state, group, grad, param):
    beta1, beta2 = group["betas"]
    m, v = state["exp_avg"], state["exp_avg_sq"].mul_(beta2)
    b: Tensor = state["buffer"].add_(grad)
    n = state["n"] = state["n"] * 2
"""
    (function,) = functions(text).values()
    assert entries_of(function) == {"exp_avg": "m", "exp_avg_sq": "v", "buffer": "b"}


def test_the_equations_of_adam_stand_beside_the_methods_that_compute_them() -> None:
    source = source_of("schuss.optimizers.adam")
    rows = list(source.rows_of("Adam", equations_of(source.text)))
    beside = [(row.code.strip().partition("\n")[0], e.latex) for row in rows for e in row.equations]
    assert [
        (code.split(".")[0].split(" ")[0], latex.partition(" = ")[0]) for code, latex in beside
    ] == [
        ("m", "m_t"),
        ("v", "v_t"),
        ("m_hat", r"\hat m_t"),
        ("v_hat", r"\hat v_t"),
        ("return", "u_t"),
    ]


def test_rows_have_every_line_of_a_class_but_docstrings_and_blanks() -> None:
    source = source_of("schuss.optimizers.lion")
    rows = list(source.rows_of("Lion", equations_of(source.text)))
    cls = source.classes["Lion"]
    shown = [line.strip() for row in rows for line in row.code.splitlines() if line.strip()]
    hidden = {
        number
        for node in ast.walk(cls)
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None
        for number in range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1)
    }
    lines = range(cls.lineno, (cls.end_lineno or 0) + 1)
    whole = [source.lines[n - 1].strip() for n in lines if n not in hidden]
    assert shown == [line for line in whole if line]
    assert all(
        source.lines[row.first_line - 1].strip() == row.code.split("\n")[0].strip() for row in rows
    )
