import ArgumentParser

/// Options of the command line's contract whose work is not built yet. They are refused by name, so that a script learns it
/// from the status (64) and not from a guest that behaves otherwise; `--help` leaves them out.
struct LaterOptions: ParsableArguments {
  @Option var timing: String?
  @Option var gdb: String?
  @Flag var wait = false
  @Option var record: String?
  @Option var restore: String?
  @Flag(name: .customLong("guest-status")) var guestStatus = false
  @Option var sandbox: String?

  func refuse() throws {
    if let timing, timing != "plain" {
      guard timing == "detailed" else { throw Failure.usage("--timing '\(timing)' is none of plain, detailed") }
      throw Failure.usage("--timing detailed is not available yet")
    }
    if let sandbox, sandbox != "off" { throw Failure.usage("--sandbox \(sandbox) is not available yet: say off") }
    let asked: [(String, Bool)] = [
      ("gdb", gdb != nil), ("wait", wait),
      ("record", record != nil), ("restore", restore != nil), ("guest-status", guestStatus),
    ]
    for (name, given) in asked where given { throw Failure.usage("--\(name) is not available yet") }
  }
}
