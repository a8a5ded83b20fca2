#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// Standard input and output. A terminal is put into raw mode while the guest runs, and Ctrl-] leaves, as in `xl console`.
public final class StandardConsole: ConsoleLink {
  private var saved: termios?
  private static let leaveKey: UInt8 = 0x1D

  public init() {}

  public var isInteractive: Bool {
    if isatty(0) != 0 { return true }
    // A pipe or socket that somebody may still write to; not /dev/null and not a file.
    var status = stat()
    guard fstat(0, &status) == 0 else { return false }
    let type = status.st_mode & S_IFMT
    return type == S_IFIFO || type == S_IFSOCK
  }

  public func start(receive: @escaping @Sendable ([UInt8]) -> Void, leave: @escaping @Sendable () -> Void) throws {
    let terminal = isatty(0) != 0
    if terminal {
      var settings = termios()
      if tcgetattr(0, &settings) == 0 {
        saved = settings
        cfmakeraw(&settings)
        settings.c_oflag |= tcflag_t(OPOST)
        tcsetattr(0, TCSANOW, &settings)
      }
    }
    startThread {
      var buffer = [UInt8](repeating: 0, count: 1024)
      while true {
        let count = read(0, &buffer, buffer.count)
        if count < 0 && errno == EINTR { continue }
        guard count > 0 else { return }
        let bytes = Array(buffer[0..<count])
        if terminal, let at = bytes.firstIndex(of: StandardConsole.leaveKey) {
          if at > 0 { receive(Array(bytes[0..<at])) }
          leave()
          return
        }
        receive(bytes)
      }
    }
  }

  public func write(_ bytes: [UInt8]) { writeFully(1, bytes) }

  public func stop() {
    if var settings = saved { tcsetattr(0, TCSANOW, &settings) }
    saved = nil
  }

  deinit { stop() }
}
