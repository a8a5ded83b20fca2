import Foundation
import Testing

@testable import HostLinks

#if canImport(Glibc)
  import Glibc
#endif

/// The monitor's socket, with the test as the machine.
struct MonitorTests {
  let requests = Inbox<MonitorRequest>()

  private func server(_ folder: Folder) throws -> MonitorServer {
    let server = MonitorServer(path: folder.file("m"), version: "9")
    try server.start { [requests] in requests.put($0) }
    return server
  }

  /// A line without its end; nil at the end of the connection.
  private func line(_ client: Int32) -> String? {
    var bytes: [UInt8] = []
    while let byte = readBytes(client, 1).first {
      if byte == 10 { return String(decoding: bytes.dropLast(), as: UTF8.self) }
      bytes.append(byte)
    }
    return nil
  }

  private func say(_ client: Int32, _ text: String) { writeBytes(client, Array((text + "\n").utf8)) }

  @Test func aClientIsGreetedAndItsCommandsAreAnswered() throws {
    let folder = try Folder()
    let server = try server(folder)
    let client = connectUnix(folder.file("m"))
    try #require(client >= 0)
    defer { close(client) }
    #expect(line(client) == #"{"QMP": {"capabilities": [], "version": {"package": "Paravane 9"}}}"#)
    say(client, #"{"execute": "qmp_capabilities", "id": 1}"#)
    #expect(line(client) == #"{"id": 1, "return": {}}"#)
    say(client, #"{"execute": "screendump", "arguments": {"filename": "/tmp/\u00fc.png"}, "id": [true]}"#)
    let dump = try #require(requests.first { $0.command == .screenDump(path: "/tmp/ü.png") })
    dump.succeed()
    #expect(line(client) == #"{"id": [true], "return": {}}"#)
    say(client, #"{"execute": "query-status"}"#)
    try #require(requests.first { $0.command == .queryStatus }).succeed(.object(["running": .bool(true), "status": .string("running")]))
    #expect(line(client) == #"{"return": {"running": true, "status": "running"}}"#)
    say(client, #"{"execute": "system_reset", "id": "x"}"#)
    try #require(requests.first { $0.command == .reset }).fail("not \"now\"")
    #expect(line(client) == #"{"error": {"class": "GenericError", "desc": "not \"now\""}, "id": "x"}"#)
    server.tell(event: "POWERDOWN")
    #expect(line(client)?.hasPrefix(#"{"data": {}, "event": "POWERDOWN", "timestamp": {"microseconds": "#) == true)
    server.stop()
    #expect(line(client) == nil)
    #expect(!FileManager.default.fileExists(atPath: folder.file("m")))
    dump.succeed()
  }

  @Test func whatIsNoCommandIsAnErrorAndTheServerGoesOn() throws {
    let folder = try Folder()
    let server = try server(folder)
    defer { server.stop() }
    let client = connectUnix(folder.file("m"))
    try #require(client >= 0)
    _ = line(client)
    for text in ["x", "[]", "{", #"{"execute": 1}"#, #"{"execute": "screendump"}"#, #"{"execute": "dance"}"#, "\u{0}\u{1F600}"] {
      say(client, text)
      #expect(line(client)?.hasPrefix(#"{"error": {"class": ""#) == true, "\(text)")
    }
    say(client, "\r\n  ")
    say(client, #"{"execute": "query-commands"}"#)
    #expect(line(client)?.contains(#"{"name": "send-key"}"#) == true)
    #expect(requests.all.isEmpty)
    // A line without end is refused, and the next client is served.
    let long = [UInt8](repeating: 0x20, count: MonitorServer.longestLine + 1)
    _ = long.withUnsafeBytes { send(client, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
    #expect(line(client)?.contains("longer than 65536") == true)
    #expect(line(client) == nil)
    close(client)
    let answers = Inbox<JSONValue>()
    let path = folder.file("m")
    startThread { if let answer = try? MonitorClient.ask(path, MonitorCommand.sendKeys(["ctrl", "c"]).json) { answers.put(answer) } }
    try #require(requests.first { $0.command == .sendKeys(["ctrl", "c"]) }).succeed(.integer(7))
    #expect(answers.first { _ in true } == .object(["return": .integer(7)]))
  }

  @Test func aSocketThatCannotBeMadeOrReachedIsAnError() throws {
    let folder = try Folder()
    #expect(throws: MonitorError.self) { try MonitorServer(path: folder.file("no/m")).start { _ in } }
    #expect(throws: MonitorError.self) { try MonitorClient.ask(folder.file("m"), .null) }
    // A file that is no socket stays.
    try Data("keep".utf8).write(to: URL(fileURLWithPath: folder.file("m")))
    #expect(throws: MonitorError.self) { try MonitorServer(path: folder.file("m")).start { _ in } }
    #expect(try folder.bytes("m") == Array("keep".utf8))
  }

  @Test func commandsAreWordsToo() throws {
    #expect(try MonitorCommand(words: ["sendkey", "ctrl-alt-delete"]) == .sendKeys(["ctrl", "alt", "delete"]))
    #expect(try MonitorCommand(words: ["screendump", "a.png"]) == .screenDump(path: "a.png"))
    #expect(try MonitorCommand(words: ["quit"]) == .quit)
    #expect(try MonitorCommand(words: ["system_powerdown"]) == .powerDown)
    for words in [[], ["dance"], ["quit", "now"], ["screendump"], ["sendkey", "a--b"], ["sendkey", ""]] {
      #expect(throws: MonitorCommand.Failure.self) { try MonitorCommand(words: words) }
    }
    for command in [.queryStatus, .quit, .reset, .powerDown, .screenDump(path: "x"), .sendKeys(["f1"])] as [MonitorCommand] {
      let json = command.json
      #expect(try MonitorCommand(execute: json["execute"]?.string ?? "", arguments: json["arguments"]) == command)
    }
  }
}

struct JSONValueTests {
  private func parse(_ text: String) -> JSONValue? { try? JSONValue(parsing: Array(text.utf8)) }

  @Test func valuesAreAsTheFormatHasThem() {
    #expect(
      parse(" {\"a\" : [1, -2.5e1, true, null, \"\\u0041\\n\\ud83d\\ude00\"] } ")
        == .object(["a": .array([.integer(1), .number(-25), .bool(true), .null, .string("A\n😀")])]))
    #expect(parse("9223372036854775807") == .integer(.max))
    #expect(parse("9223372036854775808") == .number(9223372036854775808))
    #expect(parse("-0") == .integer(0))
    #expect(parse("{}") == .object([:]))
    #expect(parse("1e999") == .number(.infinity))
    for text in [
      "", "01", "-", "1.", "1e", "+1", "tru", "nul", "[1,]", "{,}", "{\"a\"}", "{\"a\":1,}", "\"", "\"\\x\"", "\"\\ud800\"", "\"\t\"",
      "1 2",
    ] {
      #expect(parse(text) == nil, "\(text)")
    }
    #expect((try? JSONValue(parsing: [0x22, 0xFF, 0x22])) == nil)
    #expect(parse(String(repeating: "[", count: 32) + String(repeating: "]", count: 32)) != nil)
    #expect(parse(String(repeating: "[", count: 100_000)) == nil)
  }

  /// Whatever is written is read as the same, and no text traps.
  @Test func textsOfAnyKindAreReadOrRefused() throws {
    var seed: UInt64 = 5
    func random(_ limit: Int) -> Int {
      seed = seed &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(seed >> 33) % limit
    }
    func make(_ depth: Int) -> JSONValue {
      switch random(depth > 3 ? 5 : 7) {
      case 0: return .null
      case 1: return .bool(random(2) == 0)
      case 2: return .integer(Int64(random(1 << 30)) * 4_000_000_000 * (random(2) == 0 ? 1 : -1))
      case 3: return .number(Double(random(1000)) / 8 + 0.0625)
      case 4:
        return .string(
          String(
            String.UnicodeScalarView((0..<random(6)).compactMap { _ in Unicode.Scalar(random(2) == 0 ? random(160) : random(0x11000)) })))
      case 5: return .array((0..<random(4)).map { _ in make(depth + 1) })
      default: return .object(Dictionary((0..<random(4)).map { ("k\($0)\"", make(depth + 1)) }) { first, _ in first })
      }
    }
    for _ in 0..<500 {
      let value = make(0)
      var bytes = Array(value.text.utf8)
      #expect(try JSONValue(parsing: bytes) == value)
      for _ in 0..<4 where !bytes.isEmpty {
        bytes[random(bytes.count)] = random(2) == 0 ? UInt8(random(256)) : Array("{}[]\",:\\u0-e.".utf8)[random(13)]
        if random(3) == 0 { bytes.removeLast(random(bytes.count)) }
        _ = try? JSONValue(parsing: bytes)
      }
    }
  }
}
