import ArgumentParser
import Foundation
import HostLinks

struct Monitor: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Ask something of a running guest.",
    discussion: """
      COMMAND is one of: query-status, screendump FILE.png, sendkey KEYS (as in ctrl-alt-delete), system_powerdown, system_reset, quit; \
      or a whole command as JSON. The answer is printed as JSON, if there is more to say than that it is done.
      """)

  @Argument(help: "The guest's control socket, as --monitor unix:SOCKET named it.") var socket: String
  @Argument(help: "The command, and what it needs.") var command: [String]

  func run() throws {
    let answer: JSONValue
    let request = try request()
    do {
      answer = try MonitorClient.ask(socket, request)
    } catch {
      switch error {
      // A guest that quits may be gone before it answers.
      case .noAnswer where request["execute"] == .string("quit"): return
      case .cannotConnect, .cannotListen: throw Failure.cannotOpen("\(error)")
      case .noAnswer: throw Failure.unavailable("\(socket): \(error)")
      case .malformedAnswer: throw Failure.malformed("\(socket): \(error)")
      }
    }
    if let error = answer["error"] { throw Failure.unavailable(error["desc"]?.string ?? error.text) }
    if let value = answer["return"], value != .object([:]) { print(value.text) }
  }

  /// The command for the socket. A relative file is meant from here, and the guest may run elsewhere.
  private func request() throws -> JSONValue {
    if let text = command.first, text.hasPrefix("{"), command.count == 1 {
      do { return try JSONValue(parsing: Array(text.utf8)) } catch { throw Failure.usage("\(text): \(error)") }
    }
    do {
      let parsed = try MonitorCommand(words: command)
      guard case .screenDump(let path) = parsed else { return parsed.json }
      return MonitorCommand.screenDump(path: URL(fileURLWithPath: path).path).json
    } catch {
      throw Failure.usage("monitor: \(error.description)")
    }
  }
}
