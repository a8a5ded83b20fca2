/// A wire with several drivers, high while any of them drives it: PCI's links and the SCI share interrupt requests so.
public final class WiredInterrupt {
  private let line: InterruptLine
  private var raised = 0

  public init(_ line: InterruptLine) { self.line = line }

  /// A connection for one more driver.
  public func driver() -> InterruptLine {
    InterruptLine { [self] level in
      raised += level ? 1 : -1
      line.set(raised > 0)
    }
  }
}
