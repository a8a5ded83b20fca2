import CHost

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// A console on a pty, a unix socket that one client at a time connects to, or a file that it is written to.
public final class DescriptorConsole: ConsoleLink, @unchecked Sendable {
  public enum Kind: Sendable {
    case pty
    case unix(String)
    case file(String)
  }

  private let kind: Kind
  private let announce: @Sendable (String) -> Void
  private let output = Slot()
  private var listener: Int32 = -1

  /// The descriptor to write to, -1 while there is none. The accepting thread holds it too, and may outlive the console.
  private final class Slot: @unchecked Sendable {
    // Invariant: written by the accepting thread, read by the machine's; an Int32 store is whole on every host.
    private let pointer = UnsafeMutablePointer<Int32>.allocate(capacity: 1)
    init() { pointer.initialize(to: -1) }
    deinit { pointer.deallocate() }
    var descriptor: Int32 {
      get { pointer.pointee }
      set { pointer.pointee = newValue }
    }
  }

  init(kind: Kind, announce: @escaping @Sendable (String) -> Void) {
    self.kind = kind
    self.announce = announce
  }

  deinit { stop() }

  public var isInteractive: Bool {
    if case .file = kind { return false }
    return true
  }

  public func start(receive: @escaping @Sendable ([UInt8]) -> Void, leave: @escaping @Sendable () -> Void) throws {
    switch kind {
    case .file(let path):
      let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
      guard descriptor >= 0 else { throw ConsoleLinkError.cannotOpen(path: path, reason: systemError()) }
      output.descriptor = descriptor
    case .pty:
      var name = [CChar](repeating: 0, count: 128)
      let descriptor = ph_open_pty(&name, name.count)
      guard descriptor >= 0 else { throw ConsoleLinkError.cannotOpen(path: "pty", reason: systemError()) }
      var settings = termios()
      if tcgetattr(descriptor, &settings) == 0 {
        cfmakeraw(&settings)
        tcsetattr(descriptor, TCSANOW, &settings)
      }
      _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
      output.descriptor = descriptor
      announce("console on \(String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self))")
      startThread { Self.pump(descriptor, receive) }
    case .unix(let path):
      try listen(path, receive)
    }
  }

  private func listen(_ path: String, _ receive: @escaping @Sendable ([UInt8]) -> Void) throws {
    let descriptor: Int32
    do {
      descriptor = try UnixSocket.listen(path)
    } catch {
      throw ConsoleLinkError.cannotOpen(path: path, reason: error.reason)
    }
    listener = descriptor
    announce("console on unix:\(path)")
    let output = self.output
    startThread {
      while true {
        let client = accept(descriptor, nil, nil)
        guard client >= 0 else { break }
        output.descriptor = client
        Self.pump(client, receive)
        output.descriptor = -1
        close(client)
      }
      close(descriptor)
    }
  }

  /// Reads until the other side hangs up.
  private static func pump(_ descriptor: Int32, _ receive: @Sendable ([UInt8]) -> Void) {
    var buffer = [UInt8](repeating: 0, count: 1024)
    while true {
      let count = read(descriptor, &buffer, buffer.count)
      if count > 0 {
        receive(Array(buffer[0..<count]))
      } else if count < 0 && (errno == EAGAIN || errno == EINTR) {
        var poll = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        _ = Glibc.poll(&poll, 1, 1000)
      } else if count < 0 && errno == EIO {
        // A pty that nobody has opened yet, or any more.
        usleep(100_000)
      } else {
        return
      }
    }
  }

  public func write(_ bytes: [UInt8]) {
    let descriptor = output.descriptor
    guard descriptor >= 0 else { return }
    if case .pty = kind {
      // Nobody may be reading: what does not fit is dropped, as a serial line would.
      bytes.withUnsafeBytes { _ = Glibc.write(descriptor, $0.baseAddress, $0.count) }
    } else {
      writeFully(descriptor, bytes)
    }
  }

  public func stop() {
    if listener >= 0 {
      // Wakes the accepting thread, which closes it: a number closed here might be another file's before that thread looks.
      shutdown(listener, Int32(SHUT_RDWR))
      if case .unix(let path) = kind { unlink(path) }
    }
    listener = -1
  }
}
