#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// The other end of a `MonitorServer`: asks one thing and waits for the answer.
public struct MonitorClient {
  /// The command's answer, `{"return": …}` or `{"error": …}`. Greetings and events that come before it are passed over.
  ///
  /// - Throws: `MonitorError`, half a minute's silence included.
  public static func ask(_ path: String, _ command: JSONValue) throws(MonitorError) -> JSONValue {
    let descriptor: Int32
    do { descriptor = try UnixSocket.connect(path) } catch { throw .cannotConnect(path: path, reason: error.reason) }
    defer { close(descriptor) }
    var patience = timeval(tv_sec: 30, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
    let line = Array((command.text + "\n").utf8)
    guard send(descriptor, line, line.count, Int32(MSG_NOSIGNAL)) == line.count else { throw .noAnswer }
    var text: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = read(descriptor, &buffer, buffer.count)
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { throw .noAnswer }
      for byte in buffer[0..<count] {
        guard byte == 0x0A else {
          guard text.count < 16 << 20 else { throw .malformedAnswer("a line without end") }
          text.append(byte)
          continue
        }
        let value: JSONValue
        do { value = try JSONValue(parsing: text) } catch { throw .malformedAnswer("\(error)") }
        if value["return"] != nil || value["error"] != nil { return value }
        text.removeAll(keepingCapacity: true)
      }
    }
  }
}
