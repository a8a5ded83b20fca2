import Foundation
import Testing

@testable import HostLinks

/// A pcap file is read back by a reader of its own: magic 0xa1b2c3d4, version 2.4, link type 1 (Ethernet).
struct PacketCaptureTests {
  struct Packet: Equatable {
    var seconds: UInt32
    var microseconds: UInt32
    var originalLength: UInt32
    var bytes: [UInt8]
  }

  func packets(_ file: [UInt8]) throws -> [Packet] {
    func word(_ at: Int) -> UInt32 { (0..<4).reduce(0) { $0 | UInt32(file[at + $1]) << UInt32(8 * $1) } }
    try #require(file.count >= 24)
    #expect(word(0) == 0xA1B2_C3D4)
    #expect(word(4) == 0x0004_0002)
    #expect(word(8) == 0 && word(12) == 0 && word(20) == 1)
    var result: [Packet] = []
    var at = 24
    while at < file.count {
      try #require(at + 16 <= file.count)
      let kept = word(at + 8)
      #expect(kept <= word(16))
      try #require(at + 16 + Int(kept) <= file.count)
      let bytes = Array(file[(at + 16)..<(at + 16 + Int(kept))])
      result.append(Packet(seconds: word(at), microseconds: word(at + 4), originalLength: word(at + 12), bytes: bytes))
      at += 16 + Int(kept)
    }
    return result
  }

  @Test func framesComeBackWithTheirTimes() throws {
    let folder = try Folder()
    let small = [UInt8](0..<60)
    let large = [UInt8](repeating: 0xAB, count: 300_000)
    do {
      let capture = try PacketCapture(path: folder.file("a.pcap"))
      capture.record(small, at: 1_767_225_600_123_456_789)
      capture.record([], at: 0)
      capture.record(large, at: 5_999_999_999)
    }
    let read = try packets(folder.bytes("a.pcap"))
    #expect(
      read == [
        Packet(seconds: 1_767_225_600, microseconds: 123_456, originalLength: 60, bytes: small),
        Packet(seconds: 0, microseconds: 0, originalLength: 0, bytes: []),
        Packet(seconds: 5, microseconds: 999_999, originalLength: 300_000, bytes: Array(large[0..<262_144])),
      ])
  }

  @Test func anOldFileIsEmptiedAndABadPathIsAnError() throws {
    let folder = try Folder()
    try Data(repeating: 1, count: 5000).write(to: URL(fileURLWithPath: folder.file("b.pcap")))
    _ = try PacketCapture(path: folder.file("b.pcap"))
    #expect(try packets(folder.bytes("b.pcap")) == [])
    #expect(throws: NetworkLinkError.self) { try PacketCapture(path: folder.file("none/b.pcap")) }
  }

  @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/tcpdump"), "tcpdump is not installed"))
  func tcpdumpReadsIt() throws {
    let folder = try Folder()
    do {
      let capture = try PacketCapture(path: folder.file("c.pcap"))
      for n in 0..<3 { capture.record(Frames.arp(asking: [10, 0, 2, UInt8(n)]), at: UInt64(n) * 1_000_000_000) }
    }
    let process = Process()
    let output = Pipe()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/tcpdump")
    process.arguments = ["-n", "-r", folder.file("c.pcap")]
    process.standardOutput = output
    try process.run()
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    #expect(process.terminationStatus == 0)
    for n in 0..<3 { #expect(text.contains("who-has 10.0.2.\(n) tell 10.0.2.15")) }
  }
}
