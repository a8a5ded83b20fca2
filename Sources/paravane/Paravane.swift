import ArgumentParser
import CHost
import Machine

#if canImport(Glibc)
  import Glibc
#endif

@main
struct Paravane: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "paravane", abstract: "Runs x86-64 guests on a software CPU: as Xen to paravirtualized ones.",
    version: paravaneVersion, subcommands: [Run.self, Inspect.self, Image.self, Monitor.self, Doctor.self])

  static func main() {
    ph_install_crash_handler()
    ph_block_signals()
    do {
      var command = try parseAsRoot()
      try command.run()
    } catch let failure as Failure {
      complain(failure.message)
      Glibc.exit(failure.status)
    } catch {
      exit(withError: error)
    }
  }
}

/// An error of the user's or the host's: one line, and the exit status of the command line's contract.
struct Failure: Error {
  var status: Int32
  var message: String

  static func usage(_ message: String) -> Failure { Failure(status: 64, message: message) }
  static func malformed(_ message: String) -> Failure { Failure(status: 65, message: message) }
  static func cannotOpen(_ message: String) -> Failure { Failure(status: 66, message: message) }
  static func unavailable(_ message: String) -> Failure { Failure(status: 69, message: message) }
}

/// Says something on standard error, after the program's name.
func complain(_ message: String) {
  let line = Array("paravane: \(message)\n".utf8)
  _ = line.withUnsafeBytes { write(2, $0.baseAddress, $0.count) }
}
