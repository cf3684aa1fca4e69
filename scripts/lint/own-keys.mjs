// Objects that are used as dictionaries know names that nobody put there: toString, valueOf, constructor. A read of `fields[name]` finds
// them, and a write of `__proto__` is lost. This rule points at every `object[name]` where the name can be any string and nothing in
// sight says that it is the object's own.
import ts from 'typescript';

const message =
  'This name may be one that every object inherits (toString, __proto__). Ask Object.hasOwn first, use a Map, or an object of Object.create(null).';

/** Whether every value of a type is a number, a symbol or one of a closed set of strings: then it comes from the code, not from outside. */
function isClosed(type) {
  if (type.isUnion()) return type.types.every(isClosed);
  const open =
    ts.TypeFlags.String |
    ts.TypeFlags.TemplateLiteral |
    ts.TypeFlags.StringMapping |
    ts.TypeFlags.Any |
    ts.TypeFlags.Unknown;
  if (type.flags & open) return false;
  if (type.flags & ts.TypeFlags.TypeParameter) return false;
  return true;
}

/** Whether a type is a dictionary: any string is a name in it. Arrays, typed arrays and Buffers go by numbers. */
function isDictionary(checker, type) {
  if (type.isUnionOrIntersection()) return type.types.some((part) => isDictionary(checker, part));
  return checker.getIndexInfoOfType(type, ts.IndexKind.String) !== undefined;
}

const functions = new Set(['FunctionDeclaration', 'FunctionExpression', 'ArrowFunctionExpression', 'Program']);

function* ancestors(node) {
  for (let at = node.parent; at; at = at.parent) yield at;
}

function isCallOf(node, object, property) {
  return (
    node?.type === 'CallExpression' &&
    node.callee.type === 'MemberExpression' &&
    node.callee.object.name === object &&
    node.callee.property.name === property
  );
}

/** What an expression is without casts and `!`. */
function bare(node) {
  let at = node;
  while (at && /^TS(As|NonNull|Satisfies)/.test(at.type)) at = at.expression;
  return at;
}

function find(node, wanted, keys) {
  if (wanted(node)) return true;
  for (const key of keys[node.type] ?? []) {
    const child = node[key];
    for (const one of Array.isArray(child) ? child : [child]) if (one && find(one, wanted, keys)) return true;
  }
  return false;
}

/** Whether an expression lists the own names of an object: Object.keys(x), sorted, filtered or sliced. */
function listsKeysOf(node, isSame) {
  let at = bare(node);
  while (at?.type === 'CallExpression' && at.callee.type === 'MemberExpression' && !isCallOf(at, 'Object', 'keys')) {
    if (!['sort', 'toSorted', 'filter', 'slice'].includes(at.callee.property.name)) return false;
    at = bare(at.callee.object);
  }
  return isCallOf(at, 'Object', 'keys') && isSame(at.arguments[0]);
}

/** Whether a name is one that goes through the own names of the object: `for (const name of Object.keys(x))`, `Object.keys(x).map((name) => …)`. */
function isOwnName(definition, isSame) {
  const node = definition?.node;
  if (definition?.type === 'Variable') {
    const loop = node.parent?.parent;
    return loop?.type === 'ForOfStatement' && listsKeysOf(loop.right, isSame);
  }
  if (definition?.type !== 'Parameter' || node.parent?.type !== 'CallExpression' || node.params[0] !== definition.name)
    return false;
  const { callee } = node.parent;
  return callee.type === 'MemberExpression' && listsKeysOf(callee.object, isSame);
}

/** Whether a variable holds an object without a prototype. */
function hasNoPrototype(definition) {
  if (definition?.type !== 'Variable') return false;
  const made = bare(definition.node.init);
  return isCallOf(isCallOf(made, 'Object', 'assign') ? bare(made.arguments[0]) : made, 'Object', 'create');
}

export const ownKeys = {
  meta: { type: 'problem', schema: [], messages: { inherited: message } },
  create(context) {
    const { sourceCode } = context;
    const services = sourceCode.parserServices;
    const checker = services.program.getTypeChecker();
    const typeOf = (node) => checker.getNonNullableType(services.getTypeAtLocation(node));
    const definitionOf = (node) => {
      if (node?.type !== 'Identifier') return undefined;
      for (let scope = sourceCode.getScope(node); scope; scope = scope.upper) {
        const variable = scope.set.get(node.name);
        if (variable) return variable.defs[0];
      }
      return undefined;
    };
    return {
      MemberExpression(node) {
        if (!node.computed || node.property.type === 'Literal') return;
        if (isClosed(typeOf(node.property)) || !isDictionary(checker, typeOf(node.object))) return;
        const object = bare(node.object);
        const text = sourceCode.getText(object);
        const name = sourceCode.getText(node.property);
        const isSame = (other) => other !== undefined && sourceCode.getText(bare(other)) === text;
        if (hasNoPrototype(definitionOf(object)) || isOwnName(definitionOf(node.property), isSame)) return;
        const asks = (one) =>
          isCallOf(one, 'Object', 'hasOwn') &&
          isSame(one.arguments[0]) &&
          sourceCode.getText(one.arguments[1]) === name;
        for (const ancestor of ancestors(node))
          if (
            functions.has(ancestor.type) &&
            ancestor.type !== 'Program' &&
            find(ancestor, asks, sourceCode.visitorKeys)
          )
            return;
        context.report({ node, messageId: 'inherited' });
      },
    };
  },
};
