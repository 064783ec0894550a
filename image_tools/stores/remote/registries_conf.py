"""Placeholder."""
class RegistriesConf:
    def concerns(self, registry): return False
def load(environ): return RegistriesConf()
