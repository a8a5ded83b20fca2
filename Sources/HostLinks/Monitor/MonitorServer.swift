#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// A machine's control socket: JSON lines in the shape of QMP, one client at a time. Commands are checked on the server's thread and
/// handed to the machine; the answers may come from any thread.
///
/// No negotiation is needed: `qmp_capabilities` is answered, and commands before it are taken too.
public final class MonitorServer: @unchecked Sendable {
  private let path: String
  private let version: String
  private var listener: Int32 = -1
  private let current = CurrentConnection()
  /// The longest line taken, in bytes; a client that sends more is told, and hung up on.
  public static let longestLine = 64 << 10

  /// - Parameters:
  ///   - path: of the socket; only this user can connect to it.
  ///   - version: for the greeting.
  public init(path: String, version: String = "") {
    self.path = path
    self.version = version
  }

  deinit { stop() }

  /// Begins to listen. `receive` is called on a thread of the server's own.
  ///
  /// - Throws: `MonitorError.cannotListen`.
  public func start(receive: @escaping @Sendable (MonitorRequest) -> Void) throws(MonitorError) {
    do {
      listener = try UnixSocket.listen(path)
    } catch {
      throw .cannotListen(path: path, reason: error.reason)
    }
    let (descriptor, current, version) = (listener, current, version)
    startThread {
      while true {
        let client = accept(descriptor, nil, nil)
        if client < 0 && (errno == EINTR || errno == ECONNABORTED) { continue }
        guard client >= 0 else { break }
        let connection = MonitorConnection(client)
        current.set(connection)
        Self.serve(connection, version: version, receive)
        current.set(nil)
        connection.close()
      }
      close(descriptor)
    }
  }

  /// Tells the client, if there is one, that something happened.
  public func tell(event name: String, data: JSONValue = .object([:])) {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    let stamp: JSONValue = .object(["seconds": .integer(Int64(time.tv_sec)), "microseconds": .integer(Int64(time.tv_nsec / 1000))])
    current.connection?.send(.object(["event": .string(name), "data": data, "timestamp": stamp]))
  }

  public func stop() {
    guard listener >= 0 else { return }
    // Wakes the thread, which closes it.
    shutdown(listener, Int32(SHUT_RDWR))
    current.connection?.hangUp()
    unlink(path)
    listener = -1
  }

  /// Reads lines until the client hangs up.
  private static func serve(_ connection: MonitorConnection, version: String, _ receive: @Sendable (MonitorRequest) -> Void) {
    let about: JSONValue = .object(["package": .string("Paravane" + (version.isEmpty ? "" : " \(version)"))])
    connection.send(.object(["QMP": .object(["version": about, "capabilities": .array([])])]))
    var line: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = connection.read(&buffer)
      guard count > 0 else { return }
      for byte in buffer[0..<count] {
        if byte == 0x0A {
          handle(line, connection, receive)
          line.removeAll(keepingCapacity: true)
        } else if line.count < longestLine {
          line.append(byte)
        } else {
          return connection.send(MonitorCommand.Failure.generic("a line is longer than \(longestLine) bytes").json)
        }
      }
    }
  }

  /// One line: a command, or an answer that it is none.
  private static func handle(_ line: [UInt8], _ connection: MonitorConnection, _ receive: (MonitorRequest) -> Void) {
    guard line.contains(where: { $0 != 0x20 && $0 != 0x0D && $0 != 0x09 }) else { return }
    var identity: JSONValue?
    do throws(MonitorCommand.Failure) {
      let request: JSONValue
      do { request = try JSONValue(parsing: line) } catch { throw .generic("\(error)") }
      identity = request["id"]
      guard let name = request["execute"]?.string else { throw .generic("QMP input lacks 'execute'") }
      switch name {
      case "qmp_capabilities": connection.send(MonitorRequest.tagged(["return": .object([:])], identity))
      case "query-commands":
        let names = MonitorCommand.names.map { JSONValue.object(["name": .string($0)]) }
        connection.send(MonitorRequest.tagged(["return": .array(names)], identity))
      default:
        let command = try MonitorCommand(execute: name, arguments: request["arguments"])
        receive(MonitorRequest(command: command, identity: identity, connection: connection))
      }
    } catch {
      guard case .object(let members) = error.json else { return }
      connection.send(MonitorRequest.tagged(members, identity))
    }
  }
}

public enum MonitorError: Error, Equatable, CustomStringConvertible {
  case cannotListen(path: String, reason: String)
  case cannotConnect(path: String, reason: String)
  /// The other side hung up, or said nothing for half a minute.
  case noAnswer
  case malformedAnswer(String)

  public var description: String {
    switch self {
    case .cannotListen(let path, let reason): return "monitor: cannot listen on \(path): \(reason)"
    case .cannotConnect(let path, let reason): return "\(path): cannot connect: \(reason): is a guest running with --monitor unix:\(path)?"
    case .noAnswer: return "the guest did not answer"
    case .malformedAnswer(let text): return "what answers is no monitor: \(text)"
    }
  }
}

/// One client's socket.
final class MonitorConnection: @unchecked Sendable {
  // Invariant: `mutex` guards `isOpen`; once it is false, the descriptor's number may be another file's. Only the thread that reads
  // closes it.
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private let descriptor: Int32
  private var isOpen = true

  init(_ descriptor: Int32) {
    self.descriptor = descriptor
    mutex = .allocate(capacity: 1)
    pthread_mutex_init(mutex, nil)
  }

  deinit {
    pthread_mutex_destroy(mutex)
    mutex.deallocate()
  }

  private func whileOpen(_ body: () -> Void) {
    pthread_mutex_lock(mutex)
    if isOpen { body() }
    pthread_mutex_unlock(mutex)
  }

  /// Sends a line. The machine does not wait: a client that does not read what it is sent is hung up on.
  func send(_ value: JSONValue) {
    let line = Array((value.text + "\r\n").utf8)
    whileOpen {
      let sent = Glibc.send(descriptor, line, line.count, Int32(MSG_NOSIGNAL | MSG_DONTWAIT))
      if sent != line.count { shutdown(descriptor, Int32(SHUT_RDWR)) }
    }
  }

  /// Waits for bytes; 0 or less at the end. For the thread that closes.
  func read(_ buffer: inout [UInt8]) -> Int {
    while true {
      let count = Glibc.read(descriptor, &buffer, buffer.count)
      if count >= 0 || errno != EINTR { return count }
    }
  }

  func hangUp() { whileOpen { shutdown(descriptor, Int32(SHUT_RDWR)) } }

  func close() {
    whileOpen {
      isOpen = false
      Glibc.close(descriptor)
    }
  }
}

/// The client that is being served, for threads that want to tell it something.
private final class CurrentConnection: @unchecked Sendable {
  // Invariant: `mutex` guards `value`.
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private var value: MonitorConnection?

  init() {
    mutex = .allocate(capacity: 1)
    pthread_mutex_init(mutex, nil)
  }

  deinit {
    pthread_mutex_destroy(mutex)
    mutex.deallocate()
  }

  func set(_ connection: MonitorConnection?) {
    pthread_mutex_lock(mutex)
    value = connection
    pthread_mutex_unlock(mutex)
  }

  var connection: MonitorConnection? {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return value
  }
}
