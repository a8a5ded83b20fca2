import HostLinks
import Motherboard
import Random
import Silicon

/// What comes in at the monitor's socket, and at a terminal's keyboard.
struct MonitorTarget: FuzzTarget {
  static var batch: UInt64 { 256 }
  private let words = [
    "{", "}", "[", "]", ":", ",", "\"", "\"execute\"", "\"arguments\"", "\"id\"", "\"keys\"", "\"filename\"", "\"send-key\"",
    "\"screendump\"", "\"quit\"", "\"type\"", "\"qcode\"", "\"data\"", "ctrl-alt-delete", "\\u", "\\ud83d\\ude00", "0", "-1", "1e",
    "999999",
    ".5", "true", "null", "\u{1B}", "\u{1B}[", "\u{1B}O", "1;5", "~", "A", "é",
    "{\"execute\": \"screendump\", \"arguments\": {\"filename\": \"x\"}}",
  ]
  private let whole = [
    "{\"execute\": \"screendump\", \"arguments\": {\"filename\": \"x.png\", \"format\": \"png\"}, \"id\": [1, {}]}",
    "{\"execute\": \"send-key\", \"arguments\": {\"keys\": [{\"type\": \"qcode\", \"data\": \"ctrl\"}, \"f1\"]}}",
    "{\"execute\": \"sendkey\", \"arguments\": {\"keys\": \"ctrl-alt-delete\"}}", "{\"execute\": \"query-status\", \"id\": -1.5e3}",
  ]
  private var keyboard = TerminalKeyboard()
  private var commands = 0
  init() {}

  var summary: String { ", \(commands) of them commands" }

  mutating func run(_ random: inout SeededRandom) -> String? {
    var bytes = Array(Mutator.text(words, &random).utf8)
    if random.oneIn(2) {
      bytes = Array(whole[Int(random.below(UInt64(whole.count)))].utf8)
      if !random.oneIn(4) { Mutator.mutate(&bytes, &random, rounds: 2) }
    }
    if let value = try? JSONValue(parsing: bytes) {
      guard let again = try? JSONValue(parsing: Array(value.text.utf8)), again.text == value.text else {
        return "\(value) is not read as written"
      }
      if let command = try? MonitorCommand(execute: value["execute"]?.string ?? "", arguments: value["arguments"]) {
        commands += 1
        if case .sendKeys(let keys) = command { _ = ScanCodes.chord(keys) }
      }
    }
    var codes = keyboard.translate(bytes)
    if random.oneIn(4) { codes += keyboard.flush() }
    let released = codes.filter { $0 >= 0x80 && $0 != 0xE0 }.count
    return codes.filter { $0 < 0x80 }.count == released ? nil : "keys stay pressed"
  }
}
