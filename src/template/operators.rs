//! `+`, `*` and `~` with their work counted: the operators whose result outgrows their operands.
//!
//! `expression` compiles the output of [`counted`]: a source with these operators as calls of
//! functions that charge `work` first.
//! Invariant: the value is that of minijinja's own operator.

use std::fmt::Write as _;
use std::sync::LazyLock;

use minijinja::machinery::ast::{
    BinOp, BinOpKind, CallArg, CompareOpKind, Expr, Map, Slice, Test, UnaryOpKind,
};
use minijinja::machinery::parse_expr;
use minijinja::value::{Rest, ValueKind};
use minijinja::{Environment, Error, Value, context};

use super::functions::BUILTIN;
use super::names::PREFIX;
use super::work::{charge, charge_product, charge_value, weigh};

/// Adds the functions that replace the operators.
pub(super) fn add_to(env: &mut Environment<'static>) {
    env.add_function(format!("{PREFIX}add"), |all: Rest<Value>| fold_operands(all, add));
    env.add_function(format!("{PREFIX}mul"), |all: Rest<Value>| fold_operands(all, mul));
    env.add_function(format!("{PREFIX}concat"), concat);
}

/// Returns the name of the function that replaces an operator, if one does.
fn replacement(op: BinOpKind) -> Option<&'static str> {
    match op {
        BinOpKind::Add => Some("add"),
        BinOpKind::Mul => Some("mul"),
        BinOpKind::Concat => Some("concat"),
        _ => None,
    }
}

fn fold_operands(
    all: Rest<Value>,
    op: impl Fn(&Value, &Value) -> Result<Value, Error>,
) -> Result<Value, Error> {
    let mut all = all.0.into_iter();
    let first = all.next().unwrap_or_default();
    all.try_fold(first, |left, right| op(&left, &right))
}

/// Applies minijinja's own operator.
fn apply_own(source: &'static str, a: &Value, b: &Value) -> Result<Value, Error> {
    type RewrittenExpression = minijinja::Expression<'static, 'static>;
    static ADD: LazyLock<Option<RewrittenExpression>> =
        LazyLock::new(|| BUILTIN.compile_expression("a + b").ok());
    static MUL: LazyLock<Option<RewrittenExpression>> =
        LazyLock::new(|| BUILTIN.compile_expression("a * b").ok());
    let compiled = if source == "+" { &ADD } else { &MUL };
    match &**compiled {
        Some(compiled) => compiled.eval(context! { a, b }),
        None => Err(super::error::invalid("an operator that does not compile")),
    }
}

fn is_list(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable)
}

fn add(a: &Value, b: &Value) -> Result<Value, Error> {
    charge_value(a)?;
    charge_value(b)?;
    if is_list(a) && is_list(b) {
        // Built eagerly: a lazy sum of sums would be read once for each of its levels.
        return Ok(a.try_iter()?.chain(b.try_iter()?).collect::<Vec<_>>().into());
    }
    apply_own("+", a, b)
}

fn mul(a: &Value, b: &Value) -> Result<Value, Error> {
    for (whole, count) in [(a, b), (b, a)] {
        if whole.as_str().is_some() || is_list(whole) {
            let mut left = u64::MAX;
            weigh(whole, usize::MAX, &mut left).map_err(Error::from)?;
            charge_product(u64::MAX - left, count.as_usize().unwrap_or(0) as u64 + 1)?;
            break;
        }
    }
    let product = apply_own("*", a, b)?;
    if is_list(&product) {
        return Ok(product.try_iter()?.collect::<Vec<_>>().into());
    }
    Ok(product)
}

#[expect(clippy::needless_pass_by_value, reason = "functions of the environment take values")]
fn concat(all: Rest<Value>) -> Result<Value, Error> {
    let mut out = String::new();
    for value in all.iter() {
        charge_value(value)?;
        let before = out.len();
        let _ = write!(out, "{value}");
        // Quotes and escapes inside lists make a text longer than its weight.
        charge((out.len() - before) as u64)?;
    }
    Ok(Value::from(out))
}

/// Rewrites the growing operators of a source as calls; `None` if it has none of them.
///
/// # Errors
/// If it is not an expression.
pub(super) fn counted(source: &str) -> Result<Option<String>, Error> {
    let mut printer = Printer { out: String::with_capacity(2 * source.len()), found: false };
    printer.expr(&parse_expr(source)?);
    Ok(printer.found.then_some(printer.out))
}

/// Writes an expression as a source text.
struct Printer {
    out: String,
    /// Whether an operator was replaced.
    found: bool,
}

impl Printer {
    fn text(&mut self, text: &str) {
        self.out.push_str(text);
    }

    /// Writes an expression where any may stand.
    fn expr(&mut self, expr: &Expr<'_>) {
        match expr {
            Expr::Var(var) => self.text(var.id),
            Expr::Const(value) => self.value(&value.value),
            Expr::Slice(slice) => self.slice(slice),
            Expr::UnaryOp(unary) => {
                self.text(match unary.op {
                    UnaryOpKind::Not => "not ",
                    UnaryOpKind::Neg => "-",
                });
                self.operand(&unary.expr);
            }
            Expr::BinOp(binary) => self.binary(binary),
            Expr::Compare(compare) => {
                self.operand(&compare.expr);
                for part in &compare.ops {
                    self.text(comparison(part.op));
                    self.operand(&part.expr);
                }
            }
            Expr::IfExpr(choice) => {
                self.operand(&choice.true_expr);
                self.text(" if ");
                self.operand(&choice.test_expr);
                if let Some(other) = &choice.false_expr {
                    self.text(" else ");
                    self.operand(other);
                }
            }
            Expr::Filter(filter) => {
                match &filter.expr {
                    Some(inner @ Expr::Filter(_)) => self.expr(inner),
                    Some(expr) => self.operand(expr),
                    None => {}
                }
                self.text("|");
                self.text(filter.name);
                self.arguments(&filter.args);
            }
            Expr::Test(test) => self.test(test),
            Expr::GetAttr(attr) => {
                self.operand(&attr.expr);
                self.text(".");
                self.text(attr.name);
            }
            Expr::GetItem(item) => {
                self.operand(&item.expr);
                self.text("[");
                self.expr(&item.subscript_expr);
                self.text("]");
            }
            Expr::Call(call) => {
                self.operand(&call.expr);
                self.arguments(&call.args);
            }
            Expr::List(list) => self.items("[", &list.items, "]"),
            Expr::Tuple(tuple) if tuple.items.is_empty() => self.text("()"),
            Expr::Tuple(tuple) => self.items("(", &tuple.items, ",)"),
            Expr::Map(map) => self.map(map),
        }
    }

    fn slice(&mut self, slice: &Slice<'_>) {
        self.operand(&slice.expr);
        self.text("[");
        slice.start.iter().for_each(|part| self.expr(part));
        self.text(":");
        slice.stop.iter().for_each(|part| self.expr(part));
        if let Some(step) = &slice.step {
            self.text(":");
            self.expr(step);
        }
        self.text("]");
    }

    fn map(&mut self, map: &Map<'_>) {
        self.text("{");
        for (key, value) in map.keys.iter().zip(&map.values) {
            self.expr(key);
            self.text(":");
            self.expr(value);
            self.text(",");
        }
        self.text("}");
    }

    fn test(&mut self, test: &Test<'_>) {
        self.operand(&test.expr);
        self.text(" is ");
        self.text(test.name);
        if !test.args.is_empty() {
            self.arguments(&test.args);
        }
    }

    fn binary(&mut self, binary: &BinOp<'_>) {
        if let Some(name) = replacement(binary.op) {
            self.found = true;
            self.text(PREFIX);
            self.text(name);
            self.text("(");
            self.chain(binary.op, &binary.left);
            self.text(",");
            self.expr(&binary.right);
            self.text(")");
            return;
        }
        // `a - b - c` without parentheses: the parser takes stack for each pair.
        match &binary.left {
            Expr::BinOp(left)
                if operator(left.op) == operator(binary.op)
                    && !matches!(binary.op, BinOpKind::Pow) =>
            {
                self.expr(&binary.left);
            }
            left => self.operand(left),
        }
        self.text(operator(binary.op));
        self.operand(&binary.right);
    }

    /// Writes the operands of a chain of one operator, as arguments of one call.
    fn chain(&mut self, op: BinOpKind, left: &Expr<'_>) {
        match left {
            Expr::BinOp(inner) if operator(inner.op) == operator(op) => {
                self.chain(op, &inner.left);
                self.text(",");
                self.expr(&inner.right);
            }
            other => self.expr(other),
        }
    }

    /// Writes an operand: in parentheses, unless it is a single term.
    fn operand(&mut self, expr: &Expr<'_>) {
        let is_whole = match expr {
            Expr::BinOp(binary) => replacement(binary.op).is_some(),
            Expr::UnaryOp(_) | Expr::Compare(_) | Expr::IfExpr(_) | Expr::Test(_) => false,
            // A filter binds as tightly as a call only if nothing follows it.
            Expr::Filter(_) => false,
            // `-1` and `1.` before a dot or a power.
            Expr::Const(value) => !value.value.is_number(),
            _ => true,
        };
        if !is_whole {
            self.text("(");
        }
        self.expr(expr);
        if !is_whole {
            self.text(")");
        }
    }

    fn items(&mut self, open: &str, items: &[Expr<'_>], close: &str) {
        self.text(open);
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.text(",");
            }
            self.expr(item);
        }
        self.text(close);
    }

    fn arguments(&mut self, arguments: &[CallArg<'_>]) {
        self.text("(");
        for (index, argument) in arguments.iter().enumerate() {
            if index > 0 {
                self.text(",");
            }
            let expr = match argument {
                CallArg::Pos(expr) => expr,
                CallArg::Kwarg(name, expr) => {
                    self.text(name);
                    self.text("=");
                    expr
                }
                CallArg::PosSplat(expr) => {
                    self.text("*");
                    expr
                }
                CallArg::KwargSplat(expr) => {
                    self.text("**");
                    expr
                }
            };
            self.expr(expr);
        }
        self.text(")");
    }

    /// Writes a constant; texts are escaped as in JSON, which the language parses.
    fn value(&mut self, value: &Value) {
        match value.kind() {
            ValueKind::String => {
                let text = value.as_str().unwrap_or_default();
                self.out.push_str(&serde_json::Value::from(text).to_string());
            }
            ValueKind::None => self.text("none"),
            ValueKind::Number => {
                let _ = write!(self.out, "{value}");
            }
            ValueKind::Seq | ValueKind::Iterable => {
                self.text("[");
                for item in value.try_iter().into_iter().flatten() {
                    self.value(&item);
                    self.text(",");
                }
                self.text("]");
            }
            ValueKind::Map => {
                self.text("{");
                for key in value.try_iter().into_iter().flatten() {
                    self.value(&key);
                    self.text(":");
                    self.value(&value.get_item(&key).unwrap_or_default());
                    self.text(",");
                }
                self.text("}");
            }
            _ => {
                let _ = write!(self.out, "{value}");
            }
        }
    }
}

fn operator(op: BinOpKind) -> &'static str {
    match op {
        BinOpKind::Eq => " == ",
        BinOpKind::Ne => " != ",
        BinOpKind::Lt => " < ",
        BinOpKind::Lte => " <= ",
        BinOpKind::Gt => " > ",
        BinOpKind::Gte => " >= ",
        BinOpKind::ScAnd => " and ",
        BinOpKind::ScOr => " or ",
        BinOpKind::Add => " + ",
        BinOpKind::Sub => " - ",
        BinOpKind::Mul => " * ",
        BinOpKind::Div => " / ",
        BinOpKind::FloorDiv => " // ",
        BinOpKind::Rem => " % ",
        BinOpKind::Pow => " ** ",
        BinOpKind::Concat => " ~ ",
        BinOpKind::In => " in ",
    }
}

fn comparison(op: CompareOpKind) -> &'static str {
    match op {
        CompareOpKind::Eq => " == ",
        CompareOpKind::Ne => " != ",
        CompareOpKind::Lt => " < ",
        CompareOpKind::Lte => " <= ",
        CompareOpKind::Gt => " > ",
        CompareOpKind::Gte => " >= ",
        CompareOpKind::In => " in ",
        CompareOpKind::NotIn => " not in ",
    }
}
