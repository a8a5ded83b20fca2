import Foundation
import Testing

@testable import HostLinks

#if canImport(Glibc)
  import Glibc
#endif

/// The network behind NAT, spoken to in frames as a guest does.
struct UserNetworkTests {
  let frames = Inbox<[UInt8]>()

  func link(_ forwards: [PortForward] = []) throws -> UserNetworkLink {
    try UserNetworkLink(forwards: forwards, clock: { 1_000_000_000 }, deliver: { [frames] in frames.put($0) })
  }

  @Test func theGatewayAnswersARP() throws {
    let link = try link()
    defer { link.stop() }
    link.send(Frames.arp(asking: [10, 0, 2, 2]))
    let reply = try #require(frames.first { $0.count >= 42 && $0[12...13] == [8, 6] && $0[20...21] == [0, 2] })
    #expect(Array(reply[0..<6]) == Frames.mac)
    #expect(Array(reply[28..<32]) == [10, 0, 2, 2], "sender")
    #expect(Array(reply[38..<42]) == [10, 0, 2, 15], "target")
    #expect(reply[6..<12] == reply[22..<28], "the frame comes from the address that the reply names")
  }

  @Test func aDiscoverGetsAnOffer() throws {
    let link = try link()
    defer { link.stop() }
    let transaction: [UInt8] = [0xDE, 0xAD, 0xBE, 0xEF]
    link.send(Frames.discover(transaction: transaction))
    // Ethernet 14, IPv4 20, UDP 8; then BOOTP: op 0, xid 4, yiaddr 16, options 240.
    let offer = try #require(
      frames.first { $0.count > 42 + 244 && $0[12...13] == [8, 0] && $0[23] == 17 && $0[34...35] == [0, 67] && $0[36...37] == [0, 68] })
    let message = Array(offer[42...])
    #expect(message[0] == 2 && Array(message[4..<8]) == transaction)
    #expect(Array(message[16..<20]) == [10, 0, 2, 15])
    var options: [UInt8: [UInt8]] = [:]
    var at = 240
    while at + 1 < message.count, message[at] != 255 {
      if message[at] == 0 {
        at += 1
        continue
      }
      let end = min(at + 2 + Int(message[at + 1]), message.count)
      options[message[at]] = Array(message[(at + 2)..<end])
      at = end
    }
    #expect(options[53] == [2], "the message type is DHCPOFFER")
    #expect(options[1] == [255, 255, 255, 0])
    #expect(options[3] == [10, 0, 2, 2])
    #expect(options[6] == [10, 0, 2, 3])
  }

  @Test func shortAndForeignFramesAreSwallowed() throws {
    let link = try link()
    defer { link.stop() }
    link.send([])
    link.send([1, 2, 3])
    link.send([UInt8](repeating: 0xFF, count: 14))
    link.send(Array(Frames.discover(transaction: [0, 0, 0, 0])[0..<40]))
    link.send(Frames.broadcast + Frames.mac + [0x86, 0xDD] + [UInt8](repeating: 0x60, count: 50))
    link.send(Frames.arp(asking: [10, 0, 2, 2]))
    #expect(frames.first { $0.count >= 42 && $0[12...13] == [8, 6] } != nil)
  }

  /// A TCP port of the loopback that somebody listens on.
  func busyPort() throws -> (descriptor: Int32, port: UInt16) {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let port: UInt16? = withUnsafeMutablePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, size) == 0 && listen(descriptor, 1) == 0 && getsockname(descriptor, $0, &size) == 0 ? 1 : nil
      }
    }
    _ = try #require(port)
    return (descriptor, UInt16(bigEndian: address.sin_port))
  }

  @Test func aForwardedPortInUseIsAnError() throws {
    let (descriptor, port) = try busyPort()
    let forward = PortForward(isUDP: false, hostAddress: "127.0.0.1", hostPort: port, guestAddress: "", guestPort: 22)
    let error = #expect(throws: NetworkLinkError.self) { try link([forward]) }
    #expect(error == .portInUse("tcp:127.0.0.1:\(port)"))
    close(descriptor)
    let free = try link([forward])
    free.stop()
  }

  @Test func addressesThatAreNone() {
    let forward = PortForward(isUDP: true, hostAddress: "localhost", hostPort: 5353, guestAddress: "", guestPort: 53)
    #expect(throws: NetworkLinkError.badAddress("localhost")) { try link([forward]) }
  }

  @Test func aForwardedConnectionReachesTheGuest() throws {
    let (descriptor, port) = try busyPort()
    close(descriptor)
    let link = try link([PortForward(isUDP: false, hostAddress: "", hostPort: port, guestAddress: "", guestPort: 22)])
    defer { link.stop() }
    // The guest is known by the ARP that it sends.
    link.send(Frames.arp(asking: [10, 0, 2, 2]))
    _ = try #require(frames.first { $0.count >= 42 && $0[12...13] == [8, 6] })
    let client = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(client) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    address.sin_port = port.bigEndian
    let connected = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(client, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
    }
    #expect(connected == 0)
    // TCP SYN to 10.0.2.15:22, or the question who that is.
    let syn = frames.first { frame in
      guard frame.count >= 54, frame[12...13] == [8, 0], frame[23] == 6 else { return false }
      return frame[30...33] == [10, 0, 2, 15] && frame[36...37] == [0, 22] && frame[47] & 0x12 == 0x02
    }
    #expect(syn != nil)
  }
}
