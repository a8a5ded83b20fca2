import Testing

@testable import HostLinks

#if canImport(Glibc)
  import Glibc
#endif

/// Frames on a unix stream socket, each behind its length.
struct SocketLinkTests {
  let frames = Inbox<[UInt8]>()

  func connected(_ folder: Folder) throws -> (link: DescriptorNetworkLink, peer: Int32) {
    let listener = listenUnix(folder.file("net"))
    try #require(listener >= 0)
    let link = try DescriptorNetworkLink.socket(folder.file("net"), deliver: { [frames] in frames.put($0) })
    let peer = accept(listener, nil, nil)
    close(listener)
    try #require(peer >= 0)
    return (link, peer)
  }

  @Test func framesGoOutBehindTheirLength() throws {
    let (link, peer) = try connected(Folder())
    defer { close(peer) }
    let small = [UInt8](0..<60)
    let large = (0..<9014).map { UInt8(truncatingIfNeeded: $0) }
    link.send(small)
    link.send(large)
    #expect(readBytes(peer, 4) == [0, 0, 0, 60])
    #expect(readBytes(peer, 60) == small)
    #expect(readBytes(peer, 4) == [0, 0, 0x23, 0x36])
    #expect(readBytes(peer, 9014) == large)
  }

  @Test func framesComeInHoweverTheyAreCut() throws {
    let (link, peer) = try connected(Folder())
    defer { close(peer) }
    let first = [UInt8](100..<160)
    let second = [UInt8](repeating: 3, count: 14)
    // One byte at a time, then two frames at once; 13 bytes are no frame.
    for byte in [0, 0, 0, 60] + first { writeBytes(peer, [byte]) }
    writeBytes(peer, [0, 0, 0, 13] + [UInt8](repeating: 9, count: 13) + [0, 0, 0, 14] + second)
    #expect(frames.first { $0 == second } != nil)
    #expect(frames.all == [first, second])
    _ = link
  }

  @Test func aLengthBeyondReasonEndsTheLink() throws {
    let (link, peer) = try connected(Folder())
    defer { close(peer) }
    let good = [UInt8](repeating: 1, count: 20)
    writeBytes(peer, [0, 0, 0, 20] + good)
    #expect(frames.first { $0 == good } != nil)
    writeBytes(peer, [0xFF, 0xFF, 0xFF, 0xFF] + good + [0, 0, 0, 20] + good)
    #expect(frames.all == [good])
    _ = link
  }

  @Test func nobodyListeningIsAnError() throws {
    let folder = try Folder()
    let error = #expect(throws: NetworkLinkError.self) { try DescriptorNetworkLink.socket(folder.file("none"), deliver: { _ in }) }
    #expect(error?.description.contains("listening") == true)
    let long = folder.file(String(repeating: "x", count: 120))
    #expect(throws: NetworkLinkError.self) { try DescriptorNetworkLink.socket(long, deliver: { _ in }) }
  }

  @Test func aTapDeviceThatIsNotThereIsAnError() {
    // Without rights, or with rights and a name too odd to exist, there is no such device to open.
    guard geteuid() != 0 else { return }
    #expect(throws: NetworkLinkError.self) { try DescriptorNetworkLink.tap("pv-none", deliver: { _ in }) }
  }
}
