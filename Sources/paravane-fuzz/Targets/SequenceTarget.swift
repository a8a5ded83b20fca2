import Random
import Silicon

/// Programs made by chance on both engines at once (`EngineSequences`): faults in the middle, code that changes itself, code and data
/// across pages, frames mapped twice, page tables edited under way.
struct SequenceTarget: FuzzTarget {
  fileprivate var sequences: EngineSequences

  init() throws { sequences = try EngineSequences() }

  mutating func run(_ random: inout SeededRandom) -> String? {
    do { return try sequences.run(&random) } catch { return "cannot run: \(error)" }
  }

  var summary: String {
    let ends = sequences.ends.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.prefix(8).map { "\($0.key) \($0.value)" }
    return ", \(sequences.runs) runs, \(sequences.instructions) instructions, \(sequences.translations) translations; "
      + ends.joined(separator: ", ")
  }
}

/// The same of 32-bit code.
struct NarrowSequenceTarget: FuzzTarget {
  private var target: SequenceTarget

  init() throws {
    target = try SequenceTarget()
    target.sequences = try EngineSequences(narrow: true)
  }

  mutating func run(_ random: inout SeededRandom) -> String? { target.run(&random) }
  var summary: String { target.summary }
}
