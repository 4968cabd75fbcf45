// The part of JSON Schema that a channel's section needs, so that the manual
// that mpush prints and the check that the channel makes are one text.

// check returns what is wrong, as [{ path, message }]. It knows type,
// properties, required, additionalProperties (false), items, enum, minLength,
// maxLength, pattern, minItems, minimum and maximum.
export function check (schema, value, path = '') {
  const fault = (message, at = path) => [{ path: at, message }]
  const type = typeOf(value)
  if (schema.type && schema.type !== type && !(schema.type === 'number' && type === 'integer')) {
    return fault(`expected ${schema.type}, got ${type}`)
  }
  if (schema.enum && !schema.enum.includes(value)) return fault(`expected one of ${schema.enum.join(', ')}`)
  switch (type) {
    case 'object': {
      const below = (key) => path === '' ? key : `${path}.${key}`
      const known = schema.properties ?? {}
      return [
        ...Object.keys(value).flatMap((key) => Object.hasOwn(known, key)
          ? check(known[key], value[key], below(key))
          : schema.additionalProperties === false ? fault('unknown key', below(key)) : []),
        ...(schema.required ?? []).filter((key) => !Object.hasOwn(value, key)).flatMap((key) => fault('required', below(key)))
      ]
    }
    case 'array':
      if (value.length < (schema.minItems ?? 0)) return fault(`expected at least ${schema.minItems}`)
      return value.flatMap((item, i) => check(schema.items ?? {}, item, `${path}[${i}]`))
    case 'string': {
      const length = [...value].length
      if (length < (schema.minLength ?? 0)) return fault(schema.minLength === 1 ? 'must not be empty' : `expected at least ${schema.minLength} characters`)
      if (length > (schema.maxLength ?? Infinity)) return fault(`expected at most ${schema.maxLength} characters`)
      if (schema.pattern && !new RegExp(schema.pattern, 'u').test(value)) return fault(`expected ${schema.description ?? `a match of ${schema.pattern}`}`)
      return []
    }
    case 'integer':
    case 'number':
      if (value < (schema.minimum ?? -Infinity)) return fault(`expected at least ${schema.minimum}`)
      if (value > (schema.maximum ?? Infinity)) return fault(`expected at most ${schema.maximum}`)
  }
  return []
}

// withDefaults returns a value that fits the schema with its defaults filled in.
export function withDefaults (schema, value) {
  switch (typeOf(value)) {
    case 'object': {
      const filled = { ...value }
      for (const [key, sub] of Object.entries(schema.properties ?? {})) {
        if (Object.hasOwn(filled, key)) filled[key] = withDefaults(sub, filled[key])
        else if (Object.hasOwn(sub, 'default')) filled[key] = structuredClone(sub.default)
      }
      return filled
    }
    case 'array':
      return value.map((item) => withDefaults(schema.items ?? {}, item))
    default:
      return value
  }
}

function typeOf (value) {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'array'
  return Number.isInteger(value) ? 'integer' : typeof value
}
