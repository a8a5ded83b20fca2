import CHost

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// Where a guest's console leads on the host. `write` is called on the machine's thread; input arrives on a thread of the
/// link's own, which hands it to the machine's mailbox.
public protocol ConsoleLink: AnyObject {
  /// Begins to listen. `receive` gets typed bytes; `leave` is called when the user asks to leave (Ctrl-]).
  func start(receive: @escaping @Sendable ([UInt8]) -> Void, leave: @escaping @Sendable () -> Void) throws
  func write(_ bytes: [UInt8])
  /// Puts the host's side back as it was.
  func stop()
  /// Input may arrive at any time: idle guest time passes at real speed.
  var isInteractive: Bool { get }
}

public enum ConsoleLinkError: Error, CustomStringConvertible, Equatable {
  case cannotOpen(path: String, reason: String)
  case unknown(String)

  public var description: String {
    switch self {
    case .cannotOpen(let path, let reason): return "console: cannot open \(path): \(reason)"
    case .unknown(let text): return "console: '\(text)' is none of stdio, pty, unix:PATH, file:PATH"
    }
  }
}

/// Makes the link that `--console` names.
///
/// - Parameter announce: told where a pty or socket is to be found.
public func makeConsoleLink(_ text: String, announce: @escaping @Sendable (String) -> Void) throws -> any ConsoleLink {
  if text == "stdio" { return StandardConsole() }
  if text == "pty" { return DescriptorConsole(kind: .pty, announce: announce) }
  if text.hasPrefix("unix:") { return DescriptorConsole(kind: .unix(String(text.dropFirst(5))), announce: announce) }
  if text.hasPrefix("file:") { return DescriptorConsole(kind: .file(String(text.dropFirst(5))), announce: announce) }
  throw ConsoleLinkError.unknown(text)
}

/// Text of the last system error.
func systemError() -> String { String(cString: strerror(errno)) }

/// Writes all bytes, waiting where it must; errors end it silently (nobody listens any more).
func writeFully(_ descriptor: Int32, _ bytes: [UInt8]) {
  var done = 0
  bytes.withUnsafeBytes { buffer in
    while done < buffer.count {
      let count = Glibc.write(descriptor, buffer.baseAddress! + done, buffer.count - done)
      if count > 0 {
        done += count
      } else if count < 0 && errno == EAGAIN {
        var poll = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        _ = Glibc.poll(&poll, 1, 100)
      } else if count < 0 && errno == EINTR {
        continue
      } else {
        return
      }
    }
  }
}

/// Runs a function on a thread of its own. Where the host gives none the process ends with status 69: a run that nothing can stop any more
/// would be worse.
public func startThread(_ body: @escaping @Sendable () -> Void) {
  final class Box: Sendable {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
  }
  var thread = pthread_t()
  let box = Unmanaged.passRetained(Box(body))
  let failed = pthread_create(
    &thread, nil,
    { argument in
      Unmanaged<Box>.fromOpaque(argument!).takeRetainedValue().body()
      return nil
    }, box.toOpaque())
  if failed != 0 { ph_host_lacks("room for another thread") }
  pthread_detach(thread)
}
