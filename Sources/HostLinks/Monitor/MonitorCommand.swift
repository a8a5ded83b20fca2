/// What a monitor asks of a machine. Names and arguments are QMP's.
public enum MonitorCommand: Sendable, Equatable {
  case queryStatus
  /// Write the screen as PNG to a file.
  case screenDump(path: String)
  /// Press keys, by name, one after the other, and let them go.
  case sendKeys([String])
  /// Press the power button.
  case powerDown
  case reset
  /// End the run at once.
  case quit

  /// Why a command cannot be done: QMP's class and a sentence.
  public struct Failure: Error, Equatable, Sendable {
    public var kind: String
    public var description: String

    public static func unknown(_ name: String) -> Failure {
      Failure(kind: "CommandNotFound", description: "The command \(name) has not been found")
    }
    public static func generic(_ description: String) -> Failure { Failure(kind: "GenericError", description: description) }

    var json: JSONValue { .object(["error": .object(["class": .string(kind), "desc": .string(description)])]) }
  }

  /// Every command's name, as `query-commands` lists them.
  static let names = ["query-commands", "query-status", "quit", "screendump", "send-key", "system_powerdown", "system_reset"]

  /// A command of the monitor's protocol.
  public init(execute name: String, arguments: JSONValue?) throws(Failure) {
    switch name {
    case "query-status": self = .queryStatus
    case "quit": self = .quit
    case "system_powerdown": self = .powerDown
    case "system_reset": self = .reset
    case "screendump":
      guard let path = arguments?["filename"]?.string, !path.isEmpty, !path.utf8.contains(0) else {
        throw .generic("Parameter 'filename' is missing")
      }
      guard arguments?["format"].map({ $0 == .string("png") }) ?? true else { throw .generic("Parameter 'format' can only be 'png'") }
      self = .screenDump(path: path)
    case "send-key", "sendkey":
      guard let keys = arguments?["keys"].flatMap(Self.keys) else {
        throw .generic("Parameter 'keys' expects key names: 'ctrl-alt-delete', or an array of up to 16")
      }
      self = .sendKeys(keys)
    default: throw .unknown(name)
    }
  }

  /// A command as words of a shell: a name and what it needs.
  public init(words: [String]) throws(Failure) {
    let name = words.first ?? ""
    let wanted = name == "screendump" || name == "sendkey" || name == "send-key" ? 2 : 1
    guard words.count == wanted else {
      throw .generic(
        wanted == 1
          ? "\(name): takes no argument" : name == "screendump" ? "screendump: say FILE.png" : "\(name): say keys: ctrl-alt-delete")
    }
    let argument = words.count > 1 ? JSONValue.string(words[1]) : .null
    self = try MonitorCommand(execute: name, arguments: .object(["filename": argument, "keys": argument]))
  }

  /// The command as the protocol has it.
  public var json: JSONValue {
    func command(_ name: String, _ arguments: [String: JSONValue] = [:]) -> JSONValue {
      .object(arguments.isEmpty ? ["execute": .string(name)] : ["execute": .string(name), "arguments": .object(arguments)])
    }
    switch self {
    case .queryStatus: return command("query-status")
    case .screenDump(let path): return command("screendump", ["filename": .string(path)])
    case .sendKeys(let keys):
      return command("send-key", ["keys": .array(keys.map { .object(["type": .string("qcode"), "data": .string($0)]) })])
    case .powerDown: return command("system_powerdown")
    case .reset: return command("system_reset")
    case .quit: return command("quit")
    }
  }

  /// Keys in a row with hyphens, or an array of names or of `{"type": "qcode", "data": name}`.
  private static func keys(_ value: JSONValue) -> [String]? {
    var keys: [String] = []
    switch value {
    case .string(let text): keys = text.split(separator: "-", omittingEmptySubsequences: false).map(String.init)
    case .array(let values):
      for value in values {
        guard let key = value.string ?? (value["type"] == .string("qcode") ? value["data"]?.string : nil) else { return nil }
        keys.append(key)
      }
    default: return nil
    }
    return (1...16).contains(keys.count) && keys.allSatisfy { !$0.isEmpty } ? keys : nil
  }
}

/// A command that came in, to be answered once, on any thread.
public struct MonitorRequest: Sendable, Equatable {
  public let command: MonitorCommand
  let identity: JSONValue?
  let connection: MonitorConnection

  /// It is done; `value` is what it was asked for.
  public func succeed(_ value: JSONValue = .object([:])) { connection.send(Self.tagged(["return": value], identity)) }

  /// It cannot be done, for the reason given in one sentence.
  public func fail(_ description: String) {
    guard case .object(let members) = MonitorCommand.Failure.generic(description).json else { return }
    connection.send(Self.tagged(members, identity))
  }

  /// The same request, not one like it.
  public static func == (a: MonitorRequest, b: MonitorRequest) -> Bool {
    a.connection === b.connection && a.command == b.command && a.identity == b.identity
  }

  static func tagged(_ members: [String: JSONValue], _ identity: JSONValue?) -> JSONValue {
    var members = members
    members["id"] = identity
    return .object(members)
  }
}
