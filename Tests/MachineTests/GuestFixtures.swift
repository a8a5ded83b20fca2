import Foundation

@testable import Machine

/// The guests of `make -C Fixtures`.
enum GuestFixtures {
  static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().appending(path: ".build-fixtures")
  static let areBuilt = FileManager.default.fileExists(atPath: folder.appending(path: "hello").path)

  static func path(_ guest: String) -> String { folder.appending(path: guest).path }
}

/// A folder for what runs leave behind; it goes with the object.
final class RunFolder {
  let path = NSTemporaryDirectory() + "pv-" + UUID().uuidString.prefix(8)

  init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }
  deinit { try? FileManager.default.removeItem(atPath: path) }

  /// A quiet run of a guest whose console and statistics are files here.
  func options(_ guest: String, _ commandLine: String, memory: Int) -> RunOptions {
    var options = RunOptions()
    options.kernel = GuestFixtures.path(guest)
    options.commandLine = commandLine
    options.memory = memory
    options.quiet = true
    options.console = "file:\(path)/console"
    options.statisticsPath = "\(path)/statistics"
    return options
  }

  /// What the run's guest said.
  var console: String { (try? String(contentsOfFile: "\(path)/console", encoding: .utf8)) ?? "" }

  func statistics() throws -> [String: Any] {
    let data = try Data(contentsOf: URL(fileURLWithPath: "\(path)/statistics"))
    return try JSONSerialization.jsonObject(with: data) as? [String: Any] ?? [:]
  }
}
