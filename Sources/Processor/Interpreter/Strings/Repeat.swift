import CHost

/// Runs a string instruction: `element` does one element and moves the pointers, false if it faulted; `bulk` does up to so many
/// within pages and returns how many (0: none, `element` has to); `done` ends a repetition early, after an element.
@inline(__always) func stringLoop<T: MachineWord>(
  _ cpu: CPU, _ op: Operation, _: T.Type, bulk: (StringCursor, Int64, UInt64) -> UInt64, element: (StringCursor, Int64) -> Bool,
  done: () -> Bool
) -> Operation? {
  let cursor = StringCursor(cpu, op)
  let step = stringStep(cpu, T.self)
  if !cursor.repeats {
    guard element(cursor, step) else { return raise(cpu, op) }
    return next(cpu, op)
  }
  cursor.narrowCount(cpu)
  let budget = StringBudget(cpu, op)
  var left = cursor.count(cpu)
  var first = true
  while left != 0 {
    let available = budget.available(cpu)
    if available == 0 && !first { return budget.interrupted(cpu, op) }
    first = false
    let ran = bulk(cursor, step, min(left, max(available, 1)))
    if ran != 0 {
      cursor.countDown(cpu, ran)
      budget.charge(cpu, ran)
      left &-= ran
      if done() { break }
      continue
    }
    guard element(cursor, step) else { return raise(cpu, op) }
    cursor.countDown(cpu, 1)
    budget.charge(cpu, 1)
    left &-= 1
    if done() { break }
  }
  return budget.finished(cpu, op)
}
