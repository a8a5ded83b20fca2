import Random
import Silicon

/// Page tables of a guest's own, edited by chance (`PagingStorm`).
struct PagingTarget: FuzzTarget {
  private var storm: PagingStorm

  init() throws { storm = try PagingStorm() }

  mutating func run(_ random: inout SeededRandom) -> String? { storm.run(&random) }

  var summary: String {
    let (began, ended) = storm.watched
    return ", \(storm.steps) steps, \(storm.faults) page faults, \(storm.calls) calls, \(began) frames watched, \(ended) let go of"
  }
}
