/// The last exits of a vCPU, for crash reports. Plain memory: it is written at every exit.
///
/// Invariant: `entries` has `capacity` elements for as long as the object lives.
final class ExitHistory: @unchecked Sendable {
  enum Kind: UInt8 { case none, hypercall, exception, syscall, interrupt, privileged, event }
  struct Entry {
    var kind = Kind.none
    var detail: UInt64 = 0
    var rip: UInt64 = 0
  }
  static let capacity = 16
  private let entries: UnsafeMutablePointer<Entry>
  private var next = 0

  init() {
    entries = .allocate(capacity: Self.capacity)
    entries.initialize(repeating: Entry(), count: Self.capacity)
  }

  deinit { entries.deallocate() }

  @inline(__always) func record(_ kind: Kind, _ detail: UInt64, _ rip: UInt64) {
    entries[next] = Entry(kind: kind, detail: detail, rip: rip)
    next = (next &+ 1) & (Self.capacity - 1)
  }

  /// Oldest first, one line each.
  var lines: [String] {
    var result: [String] = []
    for step in 0..<Self.capacity {
      let entry = entries[(next &+ step) & (Self.capacity - 1)]
      let at = " at " + hexadecimal(entry.rip)
      switch entry.kind {
      case .none: break
      case .hypercall: result.append("hypercall \(HypercallTable.name(entry.detail))" + at)
      case .exception: result.append("exception \(entry.detail)" + at)
      case .syscall: result.append("system call \(entry.detail)" + at)
      case .interrupt: result.append("INT \(hexadecimal(entry.detail))" + at)
      case .privileged: result.append("privileged instruction \(hexadecimal(entry.detail))" + at)
      case .event: result.append("event upcall" + at)
      }
    }
    return result
  }
}
