import Foundation
import Testing

@testable import HostLinks

#if canImport(Glibc)
  import Glibc
#endif

/// Consoles on real descriptors.
struct ConsoleTests {
  let typed = Inbox<[UInt8]>()
  let said = Inbox<String>()

  func console(_ text: String) throws -> any ConsoleLink { try makeConsoleLink(text, announce: { [said] in said.put($0) }) }

  func start(_ console: any ConsoleLink) throws {
    try console.start(receive: { [typed] in for byte in $0 { typed.put([byte]) } }, leave: {})
  }

  @Test func aFileHoldsWhatWasWritten() throws {
    let folder = try Folder()
    try Data("old text".utf8).write(to: URL(fileURLWithPath: folder.file("console")))
    let console = try console("file:" + folder.file("console"))
    #expect(!console.isInteractive)
    console.write(Array("before the start".utf8))
    try start(console)
    console.write(Array("hel".utf8))
    console.write([])
    console.write(Array("lo\n\0".utf8) + [0xFF])
    console.stop()
    #expect(try folder.bytes("console") == Array("hello\n\0".utf8) + [0xFF])
  }

  @Test func aFileThatCannotBeWrittenIsAnError() throws {
    let folder = try Folder()
    let console = try console("file:" + folder.file("no/console"))
    let error = #expect(throws: ConsoleLinkError.self) { try start(console) }
    #expect(error?.description.contains(folder.file("no/console")) == true)
  }

  @Test func aSocketServesOneClientAfterAnother() throws {
    let folder = try Folder()
    let console = try console("unix:" + folder.file("c"))
    #expect(console.isInteractive)
    try start(console)
    #expect(said.all == ["console on unix:" + folder.file("c")])
    console.write(Array("nobody is there".utf8))
    for key in [65, 66] as [UInt8] {
      let client = connectUnix(folder.file("c"))
      try #require(client >= 0)
      writeBytes(client, [key])
      #expect(typed.first { $0 == [key] } != nil)
      console.write([key, 10])
      #expect(readBytes(client, 2) == [key, 10])
      close(client)
    }
    console.stop()
    #expect(!FileManager.default.fileExists(atPath: folder.file("c")))
  }

  @Test func aSocketThatCannotBeMadeIsAnError() throws {
    let folder = try Folder()
    for path in [folder.file("no/c"), folder.file(String(repeating: "x", count: 120))] {
      let console = try console("unix:" + path)
      #expect(throws: ConsoleLinkError.self) { try start(console) }
    }
  }

  @Test func aPtyLeadsBothWays() throws {
    let console = try console("pty")
    #expect(console.isInteractive)
    try start(console)
    let line = try #require(said.all.first)
    let slave = open(String(line.dropFirst("console on ".count)), O_RDWR | O_NOCTTY)
    try #require(slave >= 0, "\(line)")
    defer { close(slave) }
    console.write(Array("to the user\r\n".utf8))
    // Raw: nothing is translated or echoed.
    #expect(readBytes(slave, 13) == Array("to the user\r\n".utf8))
    writeBytes(slave, [3])
    #expect(typed.first { $0 == [3] } != nil)
    console.stop()
  }

  @Test func otherWordsAreNoConsole() {
    for text in ["", "tty", "file", "unix", "Stdio"] {
      #expect(throws: ConsoleLinkError.unknown(text)) { try console(text) }
    }
  }
}
