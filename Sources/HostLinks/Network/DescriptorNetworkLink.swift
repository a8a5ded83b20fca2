import CHost

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// A link to a tap device, or to a unix stream socket on which each frame stands behind its length (32 bits, big-endian), as
/// QEMU's stream back end frames it.
public final class DescriptorNetworkLink: NetworkLink, @unchecked Sendable {
  public var receive: (([UInt8]) -> Void)?
  private let descriptor: Int32
  private let framed: Bool

  private init(descriptor: Int32, framed: Bool, deliver: @escaping @Sendable ([UInt8]) -> Void) {
    self.descriptor = descriptor
    self.framed = framed
    startThread { framed ? Self.pumpStream(descriptor, deliver) : Self.pumpPackets(descriptor, deliver) }
  }

  /// Opens an existing tap device by name.
  public static func tap(_ name: String, deliver: @escaping @Sendable ([UInt8]) -> Void) throws -> DescriptorNetworkLink {
    let descriptor = ph_open_tap(name)
    guard descriptor >= 0 else {
      throw NetworkLinkError.unavailable("tap device \(name): \(systemError()): make it with: ip tuntap add \(name) mode tap user $USER")
    }
    return DescriptorNetworkLink(descriptor: descriptor, framed: false, deliver: deliver)
  }

  /// Connects to a listening unix socket.
  public static func socket(_ path: String, deliver: @escaping @Sendable ([UInt8]) -> Void) throws -> DescriptorNetworkLink {
    let descriptor: Int32
    do {
      descriptor = try UnixSocket.connect(path)
    } catch {
      throw NetworkLinkError.unavailable("\(path): \(error.reason): is something listening there?")
    }
    return DescriptorNetworkLink(descriptor: descriptor, framed: true, deliver: deliver)
  }

  public func send(_ frame: [UInt8]) {
    guard framed else {
      frame.withUnsafeBytes { _ = write(descriptor, $0.baseAddress, $0.count) }
      return
    }
    let count = UInt32(truncatingIfNeeded: frame.count)
    let header = [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: count >> UInt32($0)) }
    writeFully(descriptor, header + frame)
  }

  private static func pumpPackets(_ descriptor: Int32, _ deliver: ([UInt8]) -> Void) {
    var buffer = [UInt8](repeating: 0, count: 65536 + 64)
    while true {
      let count = read(descriptor, &buffer, buffer.count)
      if count < 0 && (errno == EINTR || errno == EAGAIN) { continue }
      guard count > 0 else { return }
      if count >= 14 { deliver(Array(buffer[0..<count])) }
    }
  }

  private static func pumpStream(_ descriptor: Int32, _ deliver: ([UInt8]) -> Void) {
    func fill(_ count: Int) -> [UInt8]? {
      var bytes = [UInt8](repeating: 0, count: count)
      var done = 0
      while done < count {
        let part = bytes.withUnsafeMutableBytes { read(descriptor, $0.baseAddress! + done, count - done) }
        if part < 0 && errno == EINTR { continue }
        guard part > 0 else { return nil }
        done += part
      }
      return bytes
    }
    while let header = fill(4) {
      let count = header.reduce(0) { $0 << 8 | Int($1) }
      guard count <= 1 << 17, let frame = fill(count) else { return }
      if count >= 14 { deliver(frame) }
    }
  }
}
