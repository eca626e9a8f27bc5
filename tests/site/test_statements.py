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
